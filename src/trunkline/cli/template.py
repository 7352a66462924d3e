"""The configuration file that ``trunkline init`` writes. All of it is comments, so it changes no default."""

from typing import Final

CONFIG_TEMPLATE: Final = """\
# Trunkline's configuration. Everything here is optional; what is not set has its default.
# The same settings can stand in the environment or in .env, in upper case (port -> PORT), and win there.
# ${NAME} stands for a variable of the environment or of .env, ${NAME:-text} has a default.
# `trunkline check` says what this file means; `trunkline schema` prints its JSON Schema for editors.

# port: 8000
# log_level: INFO
# preferred_provider: ollama

# Providers. ollama, openrouter, cerebras, openai and anthropic need no type or address of their own.
# providers:
#   ollama: {urls: ["http://gpu1:11434", "http://gpu2:11434"]}
#   openrouter: {api_key: "${OPENROUTER_API_KEY}"}
#   vllm: {type: openai-compatible, url: "http://vllm:8000/v1"}
#   mine: {python: "my_package:MyProvider"}

# Model names of your own, and where they lead.
# routes:
#   gpt-4:
#     strategy: weighted
#     targets:
#       - {provider: ollama, model: llama3.3, weight: 80}
#       - {provider: openrouter, model: openai/gpt-4o, weight: 20, priority: 1}
# aliases: {fast: ollama/llama3.2}

# Defaults for clients that cannot say them.
# models:
#   "ollama/*": {options: {num_ctx: 16384}, keep_alive: 30m}

# server:
#   tls: {cert: cert.pem, key: key.pem}
#   trusted_proxies: [10.0.0.0/8]
"""

"""Ollama's native API and its OpenAI-compatible routes. Source: Ollama's API as of v0.33.

``shape`` has the routes, ``store`` has the models on disk and in memory, and ``management`` has the routes
that change them. ``validate``, ``parse``, ``write`` and ``errors`` have the roles that they have in every
shape.
"""

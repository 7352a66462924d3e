"""Configuration warnings."""

import pytest
import yaml

from trunkline.cli.config_warnings import configuration_warnings
from trunkline.ledger.policies import Policies, StoredKey, StoredTeam
from trunkline.settings import Settings

STORED = Policies(
    keys=tuple(
        StoredKey(id=f"id-{name}", name=name, role="member", prefix="", hash="") for name in ("laptop", "ci")
    ),
    teams=(StoredTeam(id="id-research", name="research"),),
)
OPENROUTER = "openrouter_api_key: sk-or-key"


def warnings_about(file: str, stored: Policies = STORED) -> list[str]:
    return list(configuration_warnings(Settings(**yaml.safe_load(file)), stored))


@pytest.mark.parametrize(
    ("file", "warning"),
    [
        (
            "aliases: {a: B, b: c, c: ollama/x}",
            "aliases.a: 'B' is an alias too, and one is followed once; write 'ollama/x'",
        ),
        (
            "aliases: {a: a}",
            "aliases.a: 'a' is an alias too, and one is followed once; they lead in a circle; name a model",
        ),
        ("aliases: {c: olama/x}", "aliases.c: 'olama/x' names no provider; did you mean 'ollama/x'?"),
        ("aliases: {c: 'olama:x:7b'}", "'olama:x:7b' names no provider; did you mean 'ollama:x:7b'?"),
        (
            "aliases: {c: openai/gpt-4o}",
            "aliases.c: provider 'openai' not configured. Set OPENAI_API_KEY",
        ),
        (f"aliases: {{c: 'openai:gpt-4o'}}\n{OPENROUTER}", "aliases.c: provider 'openai' not configured"),
        (
            "aliases: {A: x}\nroutes: {a: {targets: [{provider: ollama, model: x}]}}",
            "aliases.A: hides the route of that name",
        ),
        (
            "routes: {a: {targets: [{provider: ollama, model: x}, {provider: cerebras, model: x}]}}",
            "routes.a.targets.1: provider 'cerebras' not configured. Set CEREBRAS_API_KEY",
        ),
        ("models: {'olama/*': {keep_alive: 1m}}", "models.olama/*: 'olama/*' names no provider; did you"),
        ("prices: {'openruter/*': {input: 1}}", "did you mean 'openrouter/*'?"),
        ("limits: [{model: 'antropic/*', concurrent: 1}]", "limits.0.model: 'antropic/*' names no provider"),
        ("keys: {ci: {models: ['olama/*']}}", "keys.ci.models: 'olama/*' names no provider"),
        ("keys: {ci: {providers: [olama]}}", "keys.ci.providers: there is no provider 'olama'; did you mean"),
        ("keys: {latop: {}}", "keys.latop: there is no key 'latop'; did you mean 'laptop'?"),
        ("keys: {'*': {}}", "keys.*: there is no key '*'; there are: ci, laptop"),
        ("limits: [{key: '*', concurrent: 1}, {key: cl, concurrent: 1}]", "limits.1: there is no key 'cl'"),
        (
            "limits: [{team: reserch, concurrent: 1}]",
            "limits.0: there is no team 'reserch'; did you mean 'research'?",
        ),
        ("budgets: [{key: nobody, usd: 1}]", "budgets.0: there is no key 'nobody'; there are: ci, laptop"),
        ("budgets: [{provider: olama, usd: 1}]", "budgets.0: there is no provider 'olama'; did you mean"),
    ],
)
def test_a_name_that_refers_to_nothing_causes_a_warning(file: str, warning: str) -> None:
    assert [warning in line for line in warnings_about(file)].count(True) == 1, warnings_about(file)


@pytest.mark.parametrize(
    "file",
    [
        "aliases: {a: 'llama3.2:3b', b: meta-llama/llama-4, c: ollama/x, d: 'ollama:x:7b', e: gpt-4o}",
        "aliases: {a: 'llama:7b', b: hf.co/someone/model, c: /x, d: x/}",
        f"aliases: {{a: openai/gpt-4o}}\n{OPENROUTER}",
        "aliases: {a: mine}\nroutes: {mine: {targets: [{provider: ollama, model: x}]}}",
        "aliases: {a: vllm/x}\nproviders: {vllm: {type: openai-compatible, url: 'http://vllm:8000/v1'}}",
        "keys: {laptop: {}, id-ci: {}, env-1: {}, 'ALLOWED_API_KEYS #1': {}}\nallowed_api_keys: [a-key]",
        "keys: {env-2a8a1240: {}}\nallowed_api_keys: [a-key]",
        "limits: [{key: '*', concurrent: 1}, {team: '*', concurrent: 1}, {team: id-research, concurrent: 1}]",
        "limits: [{concurrent: 1}, {model: 'openai/*', concurrent: 1}, {model: '*', concurrent: 1}]",
        "budgets: [{usd: 1}, {key: ci, usd: 1}, {team: research, usd: 1}, {provider: ollama, usd: 1}]",
        "models: {'ollama/*': {keep_alive: 1m}, 'llama3:*': {keep_alive: 1m}}",
    ],
)
def test_a_name_that_may_refer_to_something_causes_no_warning(file: str) -> None:
    assert warnings_about(file) == []


def test_a_warning_does_not_list_many_names() -> None:
    many = Policies(
        keys=tuple(StoredKey(id=str(n), name=f"key-{n}", role="member", prefix="", hash="") for n in range(9))
    )
    assert warnings_about("keys: {nobody: {}}", many) == [
        "keys.nobody: there is no key 'nobody'; see `trunkline keys list`"
    ]
    assert warnings_about("limits: [{team: research, concurrent: 1}]", many) == [
        "limits.0: there is no team 'research'; `trunkline teams create` makes one"
    ]

"""``trunkline check``: what it prints of a configuration, and which ones it refuses."""

import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from trunkline.ledger.policies import Policies, StoredKey

FILE = """
openrouter_api_key: ${OPENROUTER}
database_url: postgresql://user:hunter2@h/d
redis_url: redis://:hunter2@h
log_format: console
as_ollama: true
enable_fallback: false
providers:
  vllm:
    type: openai-compatible
    url: http://vllm:8000/v1
    api_key: [hunter2, hunter2-hunter2-hunter2]
    local_only: true
routes:
  gpt-4: {strategy: weighted, targets: [{provider: vllm, model: a}, {provider: openrouter, model: b/c}]}
aliases: {fast: vllm/a}
"""


TWO_TYPES = """
allowed_api_keys: a
providers: {x: {type: nope}, y: {type: nope}}
database_url: sqlite:///none/k.db
ledger_dir: trunkline.yaml/x
"""


def test_check_describes_a_configuration(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("trunkline.yaml").write_text(FILE, encoding="utf-8")
    Path(".env").write_text("OPENROUTER=sk-or-v1-secret-secret-abcd\nPROT=1", encoding="utf-8")
    monkeypatch.setattr("trunkline.cli.check.open_reader", lambda _: Reader())
    done = run("check", HOST="::", PREFERRED_PROVIDER="vllm")
    assert done.out.splitlines() == [
        "address    http://[::]:8000, http://[::]:11434",
        "access     keys required; reachable from the network",
        "keys       0 in ALLOWED_API_KEYS, 2 in the store",
        "logs       INFO as console",
        "store      postgresql://***@h/d",
        "redis      redis://***@h",
        "filter     none: every model may be used",
        "preferred  vllm; fallback is off",
        "provider   vllm: http://vllm:8000/v1; key …, …ter2; local only",
        "provider   openrouter: https://openrouter.ai/api/v1; key …abcd",
        "provider   custom: built in; local",
        "provider   ollama is left out: its default address is this gateway",
        "route      gpt-4: weighted among vllm/a, openrouter/b/c",
        "alias      fast: vllm/a",
        "The configuration is valid.",
    ]
    assert done.code == 0
    assert done.err == "trunkline: warning: .env: PROT is no setting and was ignored; did you mean 'PORT'?\n"


class Reader:
    """The reader of a store with two keys."""

    def load(self) -> Policies:
        keys = (StoredKey(id=each, name=each, role="member", prefix="", hash="") for each in "ab")
        return Policies(keys=tuple(keys))

    def close(self) -> None:
        pass


def test_check_describes_the_defaults(run: Run) -> None:
    done = run("check", ALLOWED_API_KEYS="a,b")
    assert done.code == 0
    assert "keys       2 in ALLOWED_API_KEYS (env-ca978112, env-3e23e816), 0 in the store" in done.out
    assert "preferred  auto (openrouter is not configured); fallback is on" in done.out
    assert "provider   ollama: http://localhost:11434; local" in done.out


def test_traces_without_their_packages_are_refused(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"ALLOWED_API_KEYS": "a", "OTEL_ENDPOINT": "http://localhost:4318"}
    assert run("check", **settings).code == 0
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk", None)
    done = run("check", **settings)
    assert (done.code, done.out) == (2, "")
    assert "pip install 'trunkline[otel]'" in done.err


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("", "ALLOWED_API_KEYS must not be empty"),
        ("development_mode: true\nmodels_filter: none.txt", "MODELS_FILTER: none.txt cannot be read"),
        ("development_mode: true\nproviders: {x: {type: nope}}", "no such type 'nope'"),
        ("development_mode: true\nproviders: {x: {python: 'no_such:Thing'}}", "no_such:Thing"),
        ("development_mode: true\nollama_host: localhost:8000", "is this gateway itself"),
    ],
)
def test_check_refuses_what_a_start_would_refuse(run: Run, file: str, problem: str) -> None:
    Path("trunkline.yaml").write_text(file, encoding="utf-8")
    done = run("check")
    assert (done.code, done.out) == (2, "")
    assert problem in done.err
    assert done.err.count("\n") == 1


@pytest.mark.parametrize(
    ("file", "problems"),
    [
        ("", ["ALLOWED_API_KEYS must not be empty"]),
        (
            "models_filter: none.txt\nproviders: {x: {type: nope}}",
            ["ALLOWED_API_KEYS must not be empty", "no such type 'nope'", "MODELS_FILTER: none.txt"],
        ),
        ("port: x", ["PORT: 'x' is not a whole number"]),
        (
            "prot: 1\nmodels_filter: none.txt\nproviders: {x: {type: opnai, url: 'http://h'}, openruter: {}}",
            [
                "prot: is no setting (from trunkline.yaml); did you mean 'PORT'?",
                "providers.openruter: has no type; did you mean 'openrouter'?",
                "ALLOWED_API_KEYS must not be empty",
                "no such type 'opnai'; did you mean 'openai'?",
                "MODELS_FILTER: none.txt",
            ],
        ),
        (
            TWO_TYPES,
            [
                "DATABASE_URL: the store none/k.db cannot be used: there is no folder",
                "error: provider 'x': no such type 'nope'; the types are: anthropic,",
                "provider 'y': no such type 'nope'; the types are: anthropic,",
                "LEDGER_DIR: trunkline.yaml/x cannot be used",
            ],
        ),
        ("providers: {x: {url: h}}\nallowed_api_keys: [' ']", ["allowed_api_keys", "providers.x.url: "]),
    ],
)
def test_all_problems_and_warnings_are_printed(run: Run, file: str, problems: list[str]) -> None:
    Path("trunkline.yaml").write_text(file, encoding="utf-8")
    Path(".env").write_text("PROT=1", encoding="utf-8")
    done = run("check")
    assert done.code == 2
    first, *errors = done.err.splitlines()
    assert first == "trunkline: warning: .env: PROT is no setting and was ignored; did you mean 'PORT'?"
    assert len(errors) == len(problems)
    for error, problem in zip(errors, problems, strict=True):
        assert error.startswith("trunkline: error: ")
        assert problem.replace("PORT", "port") in error.replace("PORT", "port")


def test_configuration_warnings_are_printed(run: Run) -> None:
    run("keys", "create", "laptop")
    Path("trunkline.yaml").write_text("aliases: {c: olama/x}\nkeys: {latop: {priority: low}}", "utf-8")
    done = run("check")
    assert (done.code, done.out.splitlines()[-1]) == (0, "The configuration is valid.")
    assert done.err == (
        "trunkline: warning: aliases.c: 'olama/x' names no provider; did you mean 'ollama/x'?\n"
        "trunkline: warning: keys.latop: there is no key 'latop'; did you mean 'laptop'?\n"
    )

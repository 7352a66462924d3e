"""With `--json`, standard output is only JSON, on a terminal too. Notices go to standard error."""

import json

import pytest

from tests.cli.conftest import Run, Terminal
from tests.services import free_port

LISTS = {
    "keys list": ["name", "id"],
    "keys list --all": ["name", "revoked_at"],
    "teams list": ["name", "id"],
    "limits list": ["subject", "state"],
    "limits list --all": ["subject", "state"],
    "budgets list": ["subject", "spent"],
    "budgets list --all": ["subject", "state"],
    "usage show": ["provider", "requests"],
    "usage requests": ["key_id", "at"],
    "models": ["provider", "id"],
}
ASK_A_GATEWAY = {"upstreams", "upstreams reset"}
"""Commands whose JSON comes from a running gateway: `test_upstreams` has their tests."""
OBJECTS = ["explain custom", "db status", "doctor", "check --online"]


def fill_store(run: Run) -> None:
    for words in (
        "teams create research --rpm 5 --budget 1/day",
        "keys create laptop --team research --expires 30d",
        "keys create old --rpm 5 --budget 1/day",
        "keys revoke old",
    ):
        assert run(*words.split()).code == 0


@pytest.mark.parametrize("columns", [None, "80"])
@pytest.mark.parametrize("filled", [False, True])
@pytest.mark.parametrize("command", [*LISTS, *OBJECTS])
def test_standard_output_is_only_json(
    run: Run,
    terminal: Terminal,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    filled: bool,
    columns: str | None,
) -> None:
    monkeypatch.setenv("OLLAMA_ENABLED", "false")
    monkeypatch.setenv("DEVELOPMENT_MODE", "true")
    monkeypatch.setenv("PORT", str(free_port()))
    if filled:
        fill_store(run)
    if columns is not None:
        terminal(columns)
    done = run(*command.split(), "--json")
    assert done.code == 0, done.err
    assert all(line.startswith("trunkline: ") for line in done.err.splitlines())
    found = json.loads(done.out)
    assert isinstance(found, list if command in LISTS else dict)
    if command in LISTS:
        assert all(name in each for each in found for name in LISTS[command])
        assert bool(found) == (command == "models" or (filled and "usage" not in command))


def test_every_command_with_the_option_is_tested() -> None:
    import typer

    from trunkline.cli.app import app

    def with_json(group: object, path: str) -> list[str]:
        found = []
        for name, command in getattr(group, "commands", {}).items():
            found += with_json(command, f"{path} {name}")
        if any("--json" in parameter.opts for parameter in getattr(group, "params", ())):
            found.append(path.strip())
        return found

    assert (
        set(with_json(typer.main.get_command(app), ""))
        == {
            " ".join(word for word in command.split() if word not in ("--all", "--online", "custom"))
            for command in (*LISTS, *OBJECTS)
        }
        | ASK_A_GATEWAY
    )

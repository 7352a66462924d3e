"""``trunkline keys``."""

import re
from pathlib import Path

import pytest

from tests.cli.conftest import Run, Terminal


def test_only_the_key_goes_to_standard_output(run: Run, tmp_path: Path) -> None:
    done = run("keys", "create", "laptop")
    assert done.code == 0
    assert re.fullmatch(r"gw_[A-Za-z0-9_-]{43}\n", done.out)
    assert done.err == (
        f"trunkline: made the store {tmp_path}/trunkline.db; a gateway must use the same one (DATABASE_URL)\n"
        "trunkline: made the admin key 'laptop' "
        "(the first key is always an admin's); it is not shown again:\n"
    )
    assert "made the member key 'ci'; " in run("keys", "create", "ci").err
    assert "made the admin key 'root'; " in run("keys", "create", "root", "--role", "admin").err
    assert done.out.strip() not in run("keys", "list").out


def test_keys_are_listed_and_revoked(run: Run) -> None:
    run("keys", "create", "a")
    run("keys", "create", "b")
    assert run("keys", "revoke", "a").err.startswith("trunkline: revoked the admin key 'a' (gw_")
    header, *rows = (line.split("\t") for line in run("keys", "list").out.splitlines())
    assert header == ["name", "id", "role", "team", "state", "last used", "expires", "key", "created"]
    assert [(row[0], *row[2:7]) for row in rows] == [("b", "member", "", "active", "never", "never")]
    everyone = [line.split("\t") for line in run("keys", "list", "--all").out.splitlines()[1:]]
    assert [(row[0], row[4]) for row in everyone] == [("a", "revoked"), ("b", "active")]
    done = run("keys", "revoke", "a")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "no active key" in done.err


def test_the_list_shows_team_state_and_expiry(run: Run) -> None:
    run("teams", "create", "research")
    run("keys", "create", "a", "--team", "research", "--expires", "2020-01-31T10:00Z")
    run("keys", "create", "b", "--expires", "2999-01-31")
    rows = [line.split("\t") for line in run("keys", "list").out.splitlines()[1:]]
    assert [(row[0], row[3], row[4], row[6]) for row in rows] == [
        ("a", "research", "expired", "2020-01-31 10:00Z"),
        ("b", "", "active", "2999-01-31 00:00Z"),
    ]


def test_an_empty_list_says_that_there_are_no_keys(run: Run) -> None:
    assert "there are no keys; `trunkline keys create NAME` makes one" in run("keys", "list").err


@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_a_table_on_a_terminal_has_complete_names_and_ids(run: Run, terminal: Terminal, columns: str) -> None:
    name = "production-ingest-pipeline-of-a-team"
    run("keys", "create", name, "--expires", "30d")
    number = run("keys", "list").out.splitlines()[1].split("\t")[1]
    terminal(columns)
    done = run("keys", "list")
    assert "\t" not in done.out
    assert "…" not in done.out.replace("gw_", "", 1) or columns == "200"
    assert (name in done.out, number in done.out) == (True, True)
    assert ("no room on this terminal for: " in done.err) == (columns != "200")


@pytest.mark.parametrize(
    "words",
    [
        ("--budget", "10/moth"),
        ("--budget", "5/day", "--budget", "0/day"),
        ("--expires", "90x"),
        ("--expires", "99999999999d"),
        ("--expires", "3000000d"),
        ("--expires", "9" * 5000 + "d"),
        ("--team", "nobody"),
        ("--rpm", "0"),
        ("--role", "boss"),
    ],
)
def test_an_invalid_option_creates_no_key(run: Run, words: tuple[str, ...]) -> None:
    run("keys", "create", "first")
    done = run("keys", "create", "ci", *words)
    assert (done.code > 0, done.out) == (True, "")
    assert done.err.startswith("trunkline: error: ")
    assert "\nci\t" not in run("keys", "list", "--all").out
    assert run("keys", "create", "ci").code == 0


def test_an_unknown_provider_causes_a_warning(run: Run) -> None:
    for words in (("create", "ci", "--provider", "openruter"), ("change", "ci", "--provider", "openruter")):
        done = run("keys", *words)
        assert done.code == 0
        hint = "warning: there is no provider 'openruter'; did you mean 'openrouter'?"
        assert f"trunkline: {hint}\n" in done.err
    assert "warning" not in run("keys", "create", "x", "--provider", "ollama", "--provider", "custom").err


@pytest.mark.parametrize("grace", ["soon", "99999999999d", "3000000d"])
def test_an_invalid_grace_changes_nothing(run: Run, grace: str) -> None:
    run("keys", "create", "laptop")
    before = run("keys", "list", "--json").out
    done = run("keys", "rotate", "laptop", "--grace", grace)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert run("keys", "list", "--json").out == before

import re
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_the_key_alone_goes_to_standard_output(run: Run, tmp_path: Path) -> None:
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


def test_listing_and_revoking(run: Run) -> None:
    run("keys", "create", "a")
    run("keys", "create", "b")
    assert run("keys", "revoke", "a").err.startswith("trunkline: revoked the admin key 'a' (gw_")
    header, *rows = (line.split("\t") for line in run("keys", "list").out.splitlines())
    assert header == ["id", "name", "role", "key", "created", "last used", "ends", "revoked"]
    assert [(row[1], row[2], row[7]) for row in rows] == [("b", "member", "")]
    everyone = [line.split("\t") for line in run("keys", "list", "--all").out.splitlines()[1:]]
    assert [(row[1], bool(row[7])) for row in everyone] == [("a", True), ("b", False)]
    done = run("keys", "revoke", "a")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "no active key" in done.err


def test_a_terminal_gets_a_table(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    run("keys", "create", "laptop")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True, raising=False)
    out = run("keys", "list").out
    assert "\t" not in out
    assert "laptop" in out


@pytest.mark.parametrize(
    "words",
    [
        ("--budget", "10/moth"),
        ("--budget", "5/day", "--budget", "0/day"),
        ("--expires", "90x"),
        ("--team", "nobody"),
        ("--rpm", "0"),
        ("--role", "boss"),
    ],
)
def test_a_mistake_leaves_no_key_behind(run: Run, words: tuple[str, ...]) -> None:
    run("keys", "create", "first")
    done = run("keys", "create", "ci", *words)
    assert (done.code > 0, done.out) == (True, "")
    assert done.err.startswith("trunkline: error: ")
    assert "\tci\t" not in run("keys", "list", "--all").out
    assert run("keys", "create", "ci").code == 0


def test_a_provider_that_nobody_has_is_a_warning(run: Run) -> None:
    for words in (("create", "ci", "--provider", "openruter"), ("change", "ci", "--provider", "openruter")):
        done = run("keys", *words)
        assert done.code == 0
        hint = "warning: there is no provider 'openruter'; did you mean 'openrouter'?"
        assert f"trunkline: {hint}\n" in done.err
    assert "warning" not in run("keys", "create", "x", "--provider", "ollama", "--provider", "custom").err

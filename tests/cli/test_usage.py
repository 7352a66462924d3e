"""``trunkline usage``: with an empty ledger and one with rows, and with invalid names and times."""

from __future__ import annotations

import csv
import json

import pytest

from tests.cli.conftest import Run, Terminal
from tests.ledger.factories import NOON, make_row
from trunkline.ledger.usage_store import UsageStore

ALL = ("--since", "2020-01-01")


@pytest.fixture
def used(run: Run) -> str:
    """The id of a stored key with two requests in the ledger, next to one of a key in ALLOWED_API_KEYS."""
    run("keys", "create", "laptop")
    key_id: str = json.loads(run("keys", "list", "--json").out)[0]["id"]
    usage_store = UsageStore("sqlite:///trunkline.db")
    keys = (key_id, key_id, "env-7")
    rows = [make_row(NOON + n, key_id=each, provider="gone", model="m") for n, each in enumerate(keys)]
    usage_store.insert([rows])
    usage_store.close()
    return key_id


@pytest.mark.parametrize("words", [("show",), ("requests",), ("show", "--csv"), ("show", "--json")])
def test_an_empty_ledger_is_reported(run: Run, words: tuple[str, ...]) -> None:
    run("keys", "create", "laptop")
    done = run("usage", *words, "--since", "7d", "--key", "laptop")
    assert done.code == 0
    assert done.err == "trunkline: nothing was used (--since 7d)\n"
    assert len(done.out.splitlines()) == ("--csv" not in words)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("show --key latop", "there is no key 'latop'; did you mean 'laptop'?"),
        ("requests --key latop", "there is no key 'latop'; did you mean 'laptop'?"),
        ("show --key env-1", "there is no key 'env-1'; there are: laptop"),
        ("show --team nobody", "there is no team 'nobody'; see `trunkline teams list`"),
        ("show --provider olama", "there is no provider 'olama'; did you mean 'ollama'?"),
        ("show --by colour", "usage cannot be grouped by 'colour'; there are: key, team, provider, model,"),
        ("show --since yesterday", "'yesterday' is no time; write 2026-11-20, 2026-11-20T14:00Z, 24h or 7d"),
        ("requests --since yesterday", "'yesterday' is no time; write 2026-11-20"),
        ("show --since 1d --until 7d", "--until 7d is not after --since 1d"),
        ("show --json --csv", "--json and --csv cannot be combined; choose one of them"),
    ],
)
def test_invalid_names_and_times_are_refused(run: Run, used: str, words: str, problem: str) -> None:
    done = run("usage", *words.split())
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"trunkline: error: {problem}")


def test_usage_is_summed_up_by_key(run: Run, used: str) -> None:
    rows = [line.split("\t") for line in run("usage", "show", "--by", "key", *ALL).out.splitlines()]
    assert rows[0][:2] == ["key", "requests"]
    assert sorted(row[:2] for row in rows[1:]) == [["env-7", "1"], ["laptop", "2"]]
    filtered = json.loads(run("usage", "show", "--by", "key", "--json", *ALL, "--key", "env-7").out)
    assert [(each["key"], each["requests"]) for each in filtered] == [("env-7", 1)]
    lines = run("usage", "show", "--csv", *ALL, "--provider", "gone").out.splitlines()
    assert [each["requests"] for each in csv.DictReader(lines)] == ["3"]


@pytest.mark.parametrize("which", ["id", "name"])
def test_single_requests_show_the_names_of_keys(run: Run, used: str, which: str) -> None:
    lines = run("usage", "requests", "--key", used if which == "id" else "laptop").out.splitlines()
    assert [line.split("\t")[1:4] for line in lines] == [
        ["key", "provider", "model"],
        *[["laptop", "gone", "m"]] * 2,
    ]
    everything = run("usage", "requests").out.splitlines()
    assert everything[1].split("\t")[1] == "env-7"
    assert everything[1].split("\t")[0].endswith("Z")


def test_a_table_fits_80_columns(run: Run, used: str, terminal: Terminal) -> None:
    terminal("80")
    for words in (("show", "--by", "key", "--by", "model", *ALL), ("requests",)):
        out = run("usage", *words).out
        assert "laptop" in out
        assert "…" not in out
        assert max(map(len, out.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines())) <= 80

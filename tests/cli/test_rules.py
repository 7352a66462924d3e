"""``trunkline limits`` and ``budgets``."""

import json

import pytest

from tests.cli.conftest import Run


def test_rules_are_set_listed_and_removed(run: Run) -> None:
    run("teams", "create", "research", "--tpm", "1000")
    for sort, words, shown in (
        ("limits", ("team:research", "--rpm", "60"), ["team:research", "60", "", "", "", ""]),
        ("limits", ("model:openai/*", "--tpd", "9"), ["model:openai/*", "", "", "", "9", ""]),
        ("budgets", ("team:research", "2.5/day"), ["team:research", "$2.5", "$0", "day", "hard"]),
        ("budgets", ("all", "7tokens/total", "--soft"), ["all", "7 tokens", "0 tokens", "total", "soft"]),
    ):
        assert run(sort, "set", *words).code == 0
        rows = [row.split("\t") for row in run(sort, "list").out.splitlines()[1:]]
        (number,) = (row[1] for row in rows if [row[0], *row[2:]] == shown)
        assert run(sort, "remove", number).err == f"trunkline: removed the {sort[:-1]} {number}\n"
        assert number not in run(sort, "list").out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("budgets set all 10/moth", "'10/moth' is no budget; write 10/month, 2.5/day"),
        ("budgets set all 0/month", "'0/month' is a budget of nothing"),
        ("budgets set team:nobody 1/day", "there is no team 'nobody'"),
        ("budgets set model:a 1/day", "'model:a' is no subject; write key:…, team:…, provider:… or all"),
        ("budgets set all 1/day --webhook here", "a webhook is an http:// or https:// address"),
        ("limits set provider:ollama --rpm 1", "is no subject; write key:…, team:…, model:… or all"),
        ("limits set all", "a limit must limit something"),
        ("limits remove 0", "there is no limit with the id '0'"),
    ],
)
def test_an_invalid_rule_is_one_error_line_and_changes_nothing(run: Run, words: str, problem: str) -> None:
    sort = words.split()[0]
    empty = run(sort, "list").out
    done = run(*words.split())
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert problem in done.err
    assert run(sort, "list").out == empty


def test_an_invalid_budget_creates_no_team(run: Run) -> None:
    assert run("teams", "create", "research", "--budget", "10/moth").code == 1
    assert "research" not in run("teams", "list").out


def test_an_unknown_provider_causes_a_warning(run: Run) -> None:
    done = run("budgets", "set", "provider:olama", "1/day")
    assert done.code == 0
    assert "warning: there is no provider 'olama'; did you mean 'ollama'?" in done.err


@pytest.mark.parametrize("sort", ["limits", "budgets"])
def test_the_help_names_the_valid_subjects(run: Run, sort: str) -> None:
    help_text = run(sort, "set", "--help").out
    assert ("model:PATTERN" in help_text, "provider:NAME" in help_text) == (
        sort == "limits",
        sort == "budgets",
    )


@pytest.mark.parametrize(("sort", "words"), [("limits", ("--rpm", "9")), ("budgets", ("10/month",))])
def test_rules_of_revoked_keys_are_listed_only_with_all(run: Run, sort: str, words: tuple[str, ...]) -> None:
    for name in ("first", "old"):
        run("keys", "create", name)
    run("teams", "create", "research")
    for subject in ("key:first", "key:old", "key:*", "team:research", "all"):
        assert run(sort, "set", subject, *words).code == 0
    run("keys", "revoke", "old")
    done = run(sort, "list")
    shown = [line.split("\t")[0] for line in done.out.splitlines()[1:]]
    assert sorted(shown) == ["all", "key:*", "key:first", "team:research"]
    assert done.err == ("trunkline: 1 of revoked keys or removed teams left out; --all shows them too\n")
    everything = run(sort, "list", "--all")
    assert "\nkey:old (revoked)\t" in everything.out
    assert everything.err == ""
    states = {each["state"] for each in json.loads(run(sort, "list", "--json").out)}
    assert states == {"active"}
    rules = json.loads(run(sort, "list", "--json", "--all").out)
    assert [each["state"] for each in rules].count("revoked") == 1

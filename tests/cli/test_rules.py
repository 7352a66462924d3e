"""``trunkline limits`` and ``trunkline budgets``."""

import json

import pytest

from tests.cli.conftest import Run


def test_rules_are_set_listed_and_removed(run: Run) -> None:
    run("teams", "create", "research", "--tpm", "1000")
    for command, words, row in (
        ("limits", ("team:research", "--rpm", "60"), ["team:research", "60", "", "", "", ""]),
        ("limits", ("model:openai/*", "--tpd", "9"), ["model:openai/*", "", "", "", "9", ""]),
        ("budgets", ("team:research", "2.5/day"), ["team:research", "$2.5", "$0", "day", "hard"]),
        ("budgets", ("all", "7tokens/total", "--soft"), ["all", "7 tokens", "0 tokens", "total", "soft"]),
    ):
        assert run(command, "set", *words).code == 0
        rows = [line.split("\t") for line in run(command, "list").out.splitlines()[1:]]
        (rule_id,) = (each[1] for each in rows if [each[0], *each[2:]] == row)
        assert run(command, "remove", rule_id).err == f"trunkline: removed the {command[:-1]} {rule_id}\n"
        assert rule_id not in run(command, "list").out


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
def test_a_wrong_rule_is_one_line_and_changes_nothing(run: Run, words: str, problem: str) -> None:
    command = words.split()[0]
    empty = run(command, "list").out
    done = run(*words.split())
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert problem in done.err
    assert run(command, "list").out == empty


def test_a_team_with_a_wrong_budget_is_not_created(run: Run) -> None:
    assert run("teams", "create", "research", "--budget", "10/moth").code == 1
    assert "research" not in run("teams", "list").out


def test_an_unknown_provider_is_a_warning(run: Run) -> None:
    done = run("budgets", "set", "provider:olama", "1/day")
    assert done.code == 0
    assert "warning: there is no provider 'olama'; did you mean 'ollama'?" in done.err


@pytest.mark.parametrize("command", ["limits", "budgets"])
def test_the_help_names_the_possible_subjects(run: Run, command: str) -> None:
    help_text = run(command, "set", "--help").out
    is_limits = command == "limits"
    assert ("model:PATTERN" in help_text, "provider:NAME" in help_text) == (is_limits, not is_limits)


@pytest.mark.parametrize(("command", "words"), [("limits", ("--rpm", "9")), ("budgets", ("10/month",))])
def test_rules_of_revoked_keys_are_listed_only_with_all(
    run: Run, command: str, words: tuple[str, ...]
) -> None:
    for name in ("first", "old"):
        run("keys", "create", name)
    run("teams", "create", "research")
    for subject in ("key:first", "key:old", "key:*", "team:research", "all"):
        assert run(command, "set", subject, *words).code == 0
    run("keys", "revoke", "old")
    done = run(command, "list")
    subjects = [line.split("\t")[0] for line in done.out.splitlines()[1:]]
    assert sorted(subjects) == ["all", "key:*", "key:first", "team:research"]
    assert done.err == ("trunkline: 1 of revoked keys or removed teams left out; --all shows them too\n")
    everything = run(command, "list", "--all")
    assert "\nkey:old (revoked)\t" in everything.out
    assert everything.err == ""
    states = {each["state"] for each in json.loads(run(command, "list", "--json").out)}
    assert states == {"active"}
    rules = json.loads(run(command, "list", "--json", "--all").out)
    assert [each["state"] for each in rules].count("revoked") == 1

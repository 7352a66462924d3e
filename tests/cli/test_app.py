"""The command line as a whole: help texts, errors, exit codes, imports."""

import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import trunkline
from tests.cli.conftest import Run
from trunkline import cli
from trunkline.cli.app import app
from trunkline.settings.schema import schema_text

COMMANDS = ["version", "init", "up", "serve", "check", "schema", "mock", "keys"]


@pytest.mark.parametrize("words", [["--version"], ["-V"]])
def test_the_version_option_prints_the_version(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    cli.main(words)
    assert capsys.readouterr().out == f"trunkline {trunkline.__version__}\n"


@pytest.mark.parametrize("words", [["version"], ["--version", "serve"]])
def test_the_version_is_a_command_and_an_option_before_commands(run: Run, words: list[str]) -> None:
    assert run(*words) == (0, f"trunkline {trunkline.__version__}\n", "")


def test_the_version_imports_nothing_heavy() -> None:
    code = (
        "import sys; from trunkline.cli import main; main(['--version']);"
        "sys.exit(len({'typer', 'pydantic', 'sqlalchemy', 'fastapi', 'rich', 'structlog'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


@pytest.mark.parametrize(
    "module",
    ["cli.app", "cli.start", "settings", "policy.auth", "policy.filters", "observe.log", "ledger.reader"],
)
def test_nothing_heavy_is_imported_before_it_is_used(module: str) -> None:
    heavy = {"sqlalchemy", "alembic", "fastapi", "rich"}
    code = f"import sys, trunkline.{module}; sys.exit(len({heavy} & {{*sys.modules}}))"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_the_package_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trunkline", "-V"], timeout=60, check=True, capture_output=True
    )
    assert done.stdout.decode() == f"trunkline {trunkline.__version__}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_names_the_commands(run: Run, words: list[str]) -> None:
    done = run(*words)
    assert done.code == 0
    for command in COMMANDS:
        assert f"\n  {command} " in done.out


def every_command(group: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from every_command(command, f"{path}{name} ")
        else:
            yield path + name, command


ALL_COMMANDS = dict(every_command(typer.main.get_command(app)))


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_every_commands_help_has_an_example(run: Run, command: str) -> None:
    done = run(*command.split(), "--help")
    assert done.code == 0
    assert re.search(r"\n  Examples?:\n", done.out)
    assert f"    trunkline {command}" in done.out or f"(trunkline {command}" in done.out


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_every_command_and_option_has_a_help_text(command: str) -> None:
    first, *_ = str(ALL_COMMANDS[command].help).split("\n")
    assert first[0].isupper()
    assert first.endswith((".", ":"))
    for parameter in ALL_COMMANDS[command].params:
        help_text = parameter.help or ""
        assert help_text.endswith((".", "…")), help_text
        # Typer shows a default, so that the help text does not repeat it.
        if parameter.default not in (None, False):
            assert parameter.show_default or parameter.hidden
            assert "Default:" not in help_text


@pytest.mark.parametrize("command", ALL_COMMANDS)
def test_the_examples_in_help_texts_are_valid(command: str) -> None:
    for line in re.findall(
        r"^ *(?:[A-Z_]+=\S+ )?(?:KEY=\$\()?(trunkline .*?)\)?$", ALL_COMMANDS[command].help, re.MULTILINE
    ):
        line = re.split(r" > | {2,}", line)[0]
        words = shlex.split(line)[1:]
        command_name = max(
            (name for name in ALL_COMMANDS if words[: len(name.split())] == name.split()), key=len
        )
        arguments = words[len(command_name.split()) :]
        ALL_COMMANDS[command_name].make_context(command_name, arguments, resilient_parsing=False)


def test_a_group_without_a_command_prints_its_help(run: Run) -> None:
    assert "revoke" in run("keys").out


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["serve", "--prt", "1"], "No such option: --prt"),
        (["nonsense"], "No such command 'nonsense'"),
        (["serve", "--port", "abc"], "Invalid value for '--port'"),
        (["keys", "create"], "Missing argument 'NAME'"),
        (["check", "foo.yaml"], "; a file is named by --config: trunkline check --config foo.yaml"),
        (["serve", "foo.yml"], "; a file is named by --config: trunkline serve --config foo.yml"),
        (["up", "foo.yaml"], "; a file is named by --config: trunkline up --config foo.yaml"),
        (["keys", "list", "f.yaml"], "; a file is named by --config: trunkline keys list --config f.yaml"),
        (["mock", "f.yaml"], "; a file is named by --script: trunkline mock --script f.yaml"),
        (["keys", "revoke", "a", "b"], "unexpected extra argument(s) (b); see trunkline keys revoke --help"),
        (["schema", "f.yaml"], "unexpected extra argument(s) (f.yaml); see trunkline schema --help"),
        (["serve", "--port", "70000"], "PORT: 70000 is too large"),
        (["serve", "--log-level", "loud"], "LOG_LEVEL: 'LOUD' is not one of"),
        (["serve", "--config", "none.yaml"], "none.yaml: there is no such file"),
        (["keys", "create", "x", "--role", "boss"], "'--role': 'boss' is not one of"),
        (["mock", "--shape", "nope"], "unknown shape 'nope'"),
        (["mock", "--script", "no.yaml"], "Invalid value: no.yaml cannot be read: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(run: Run, words: list[str], problem: str) -> None:
    done = run(*words)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("trunkline: error: ")
    assert problem in done.err
    assert done.err.count("\n") == 1


def test_the_mock_reports_a_port_in_use_in_one_line(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("mock", "--port", str(port))
    assert done.err == (
        f"trunkline: error: Invalid value: cannot listen on 127.0.0.1 port {port} (Address already in use); "
        "choose another\n"
    )


def test_two_invalid_settings_are_two_lines(run: Run) -> None:
    done = run("check", PORT="x", LOG_FORMAT="y")
    assert done.code == 2
    assert [line.split(": ")[:3] for line in done.err.splitlines()] == [
        ["trunkline", "error", "PORT"],
        ["trunkline", "error", "LOG_FORMAT"],
    ]


def test_other_errors_that_a_user_can_correct_have_exit_code_1(run: Run) -> None:
    done = run("keys", "list", DATABASE_URL="sqlite:////no/such/folder/k.db")
    assert (done.code, done.err) == (
        1,
        (
            "trunkline: error: DATABASE_URL: the store /no/such/folder/k.db cannot be used: "
            "there is no folder /no/such/folder\n"
        ),
    )
    done = run("init", "--config", "no/such/folder.yaml")
    assert (done.code, done.err) == (1, "trunkline: error: no/such/folder.yaml: No such file or directory\n")


def test_an_internal_error_keeps_its_traceback(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> str:
        raise ZeroDivisionError

    monkeypatch.setattr("trunkline.settings.schema.schema_text", broken)
    with pytest.raises(ZeroDivisionError):
        cli.main(["schema"])


def test_an_interrupt_is_exit_code_130(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("trunkline.settings.schema.schema_text", interrupted)
    assert run("schema").code == 130


def test_the_schema_is_printed(run: Run) -> None:
    assert run("schema").out == schema_text()


def test_the_mock_gets_its_options(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr("trunkline_mock.run", lambda *args, announce: calls.append((args, announce("up"))))
    done = run(
        *("mock", "--shape", "ollama", "--port", "0", "--script", "s.yaml", "--model", "a", "--model", "b"),
        *("--strict", "--awkward", "id_null"),
    )
    assert (done.code, done.out) == (0, "up\n")
    assert calls == [(("ollama", "127.0.0.1", 0, Path("s.yaml"), ["a", "b"], True, "id_null"), None)]

"""``trunkline serve``, ``up`` and ``init``, with a server that ends at once."""

import re
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from structlog.testing import capture_logs

from tests.cli.conftest import Run
from trunkline.cli.template import CONFIG_TEMPLATE
from trunkline.ledger.reader import PolicyReader
from trunkline.ledger.writer import Ledger
from trunkline.settings import Exposure, Settings


class Start(NamedTuple):
    """What the server was started with."""

    settings: Settings
    exposure: Exposure
    keys: Sequence[Any]


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> list[Start]:
    """The starts of a server that reports to be ready and ends at once."""
    recorded: list[Start] = []

    def serve(
        settings: Settings,
        exposure: Exposure,
        source: PolicyReader,
        ledger: Ledger,
        *,
        on_ready: Callable[[list[str]], None] | None = None,
        load: Callable[[], Settings],
        files: list[Path],
    ) -> int:
        assert type(load()) is Settings
        ledger.close()
        assert [file.suffix for file in files] == [".yaml"]
        recorded.append(Start(settings, exposure, source.load().keys))
        if on_ready is not None:
            on_ready(["http://127.0.0.1:1234"])
        return 0

    monkeypatch.setattr("trunkline.server.app.run.run", serve)
    monkeypatch.setattr("trunkline.cli.start.configure_logging", lambda *_: None)
    return recorded


def test_options_become_settings(run: Run, starts: list[Start]) -> None:
    words = "--host 127.0.0.1 --port 0 --api-key sk-or --models-filter f --log-level debug --dev --as-ollama"
    assert run("serve", *words.split(), PORT="9").code == 0
    ((settings, exposure, keys),) = starts
    assert (settings.host, settings.port, settings.log_level) == ("127.0.0.1", 0, "DEBUG")
    assert settings.openrouter_api_key is not None
    assert settings.openrouter_api_key.get_secret_value() == "sk-or"
    assert (settings.models_filter, settings.development_mode, settings.as_ollama) == (Path("f"), True, True)
    assert exposure == Exposure("127.0.0.1", (0, 11434), auth_required=False, open_network=False)
    assert keys == ()


def test_options_that_are_not_given_do_not_override_the_environment(run: Run, starts: list[Start]) -> None:
    env = {"PORT": "9", "DEVELOPMENT_MODE": "true", "AS_OLLAMA": "true", "LOG_LEVEL": "error"}
    assert run("serve", **env).code == 0
    (start,) = starts
    assert start.settings.model_dump(include={"port", "development_mode", "as_ollama", "log_level"}) == {
        "port": 9,
        "development_mode": True,
        "as_ollama": True,
        "log_level": "ERROR",
    }


@pytest.mark.parametrize(
    ("words", "env", "problem"),
    [
        (
            "",
            {},
            "ALLOWED_API_KEYS must not be empty when REQUIRE_AUTH=True and DEVELOPMENT_MODE=False; ",
        ),
        ("", {"REQUIRE_AUTH": "false"}, "REQUIRE_AUTH=false would let anybody in"),
        ("--dev --host 0.0.0.0", {}, "HOST: '0.0.0.0' is not this machine only"),
        (
            "--dev",
            {"OLLAMA_BASE_URL": "localhost:8000"},
            "provider 'ollama': http://localhost:8000 is this gateway",
        ),
        ("--dev", {"OLLAMA_BASE_URL": "ftp://x"}, "OLLAMA_BASE_URL: 'ftp://x' must begin with http"),
        ("--dev --workers 2", {}, "WORKERS: 2 workers must share"),
    ],
)
def test_invalid_settings_prevent_a_start(
    run: Run, starts: list[Start], words: str, env: dict[str, str], problem: str
) -> None:
    done = run("serve", *words.split(), **env)
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert done.err.startswith(f"trunkline: error: {problem}")
    assert starts == []


@pytest.mark.parametrize(
    ("words", "env", "dotenv", "warning"),
    [
        ("--dev --as-ollama", {}, "", "Ollama is left out"),
        ("", {"REQUIRE_AUTH": "false", "ALLOW_OPEN_NETWORK": "true"}, "", "anybody on the network"),
        ("--dev", {}, "PROT=1", "PROT is no setting"),
    ],
)
def test_a_start_logs_warnings(
    run: Run, starts: list[Start], words: str, env: dict[str, str], dotenv: str, warning: str
) -> None:
    Path(".env").write_text(dotenv, encoding="utf-8")
    with capture_logs() as logs:
        done = run("serve", *words.split(), **env)
    assert (done.code, len(starts)) == (0, 1)
    assert [log["log_level"] for log in logs] == ["warning"]
    assert warning in str(logs)


def test_init_writes_a_file_and_creates_one_key(run: Run, tmp_path: Path) -> None:
    done = run("init")
    assert done.code == 0
    assert done.err.splitlines() == [
        "trunkline: wrote trunkline.yaml",
        f"trunkline: made the store {tmp_path}/trunkline.db; a gateway must use the same one (DATABASE_URL)",
    ]
    assert len(re.findall(r"^  gw_[\w-]{43}$", done.out, re.MULTILINE)) == 1
    file = tmp_path / "trunkline.yaml"
    assert file.read_text(encoding="utf-8") == CONFIG_TEMPLATE
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    again = run("init")
    assert (again.code, again.out) == (0, "")
    assert again.err.splitlines() == [
        "trunkline: trunkline.yaml is there already",
        "trunkline: there are keys already; `trunkline keys create NAME` makes another",
    ]


def test_up_creates_a_key_if_there_is_none(run: Run, starts: list[Start], tmp_path: Path) -> None:
    done = run("up", "--config", "my.yaml")
    assert done.code == 0
    ((_, exposure, keys),) = starts
    assert (exposure.auth_required, [key.role for key in keys]) == (True, ["admin"])
    assert (tmp_path / "my.yaml").exists()
    (key,) = set(re.findall(r"gw_[\w-]{43}", done.out))
    assert f'-H "Authorization: Bearer {key}"' in done.out
    assert "curl http://127.0.0.1:1234/v1/chat/completions" in done.out
    assert '"model": "custom"' in done.out


def test_up_creates_no_second_key(run: Run, starts: list[Start]) -> None:
    run("init")
    done = run("up")
    assert "gw_" not in done.out
    assert '-H "Authorization: Bearer $TRUNKLINE_KEY"' in done.out
    assert len(starts[0].keys) == 1


@pytest.mark.parametrize(
    ("env", "needs_key"), [({"ALLOWED_API_KEYS": "k"}, True), ({"DEVELOPMENT_MODE": "1"}, False)]
)
def test_up_creates_no_key_and_no_file_if_it_can_serve(
    run: Run, starts: list[Start], tmp_path: Path, env: dict[str, str], needs_key: bool
) -> None:
    done = run("up", **env)
    assert (done.code, len(starts)) == (0, 1)
    assert ("Authorization" in done.out) == needs_key
    assert [path.name for path in tmp_path.iterdir()] == ["trunkline-ledger"]

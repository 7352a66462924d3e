"""How a program imports the settings, as the README and the documentation show it."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

import trunkline
import trunkline.settings
from trunkline import Settings, load_settings

ROOT = Path(__file__).parents[2]
SHOWN = "from trunkline.settings import settings"
PAGES = ("README.md", "docs/providers.md")
KEY = "gw_" + "l" * 43


def program_in(page: str) -> str:
    """The example of a page that imports the settings."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    (program,) = (block for block in blocks if SHOWN in block)
    return str(program)


@pytest.fixture(autouse=True)
def new_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, and settings that nobody has imported yet."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(vars(trunkline.settings), "settings", raising=False)
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
async def test_the_program_that_a_page_shows(
    page: str, new_process: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (new_process / ".env").write_text("PREFERRED_PROVIDER=ollama\nOLLAMA_HOST=gpu1\n")
    (new_process / "trunkline.yaml").write_text("aliases: {fast: custom/custom}\nollama_enabled: false\n")
    monkeypatch.setenv("ALLOWED_API_KEYS", KEY)
    names: dict[str, Any] = {}
    exec(program_in(page), names)
    assert capsys.readouterr().out.startswith("ollama False")

    async def ask(app: Any, model: str, **headers: str) -> int:
        body = {"model": model, "messages": [{"role": "user", "content": "Hello"}]}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(
            transport=transport, base_url="http://localhost", headers=headers
        ) as client:
            return (await client.post("/v1/chat/completions", json=body)).status_code

    assert await ask(names["app"], "fast") == 401
    assert await ask(names["app"], "fast", authorization=f"Bearer {KEY}") == 200
    assert await ask(names["private"], "custom/custom") == 200
    monkeypatch.delitem(vars(trunkline.settings), "settings")


def test_the_settings_object(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_HOST", "gpu1")
    from trunkline.settings import settings

    assert isinstance(settings, Settings)
    assert settings.ollama_settings.base_url == "http://gpu1:11434"
    assert settings == load_settings()
    monkeypatch.setenv("OLLAMA_HOST", "gpu2")
    assert sys.modules["trunkline.settings"].settings is settings
    assert load_settings().ollama_settings.base_url == "http://gpu2:11434"
    assert Settings().ollama_settings.base_url == "http://localhost:11434"
    monkeypatch.delitem(vars(trunkline.settings), "settings")

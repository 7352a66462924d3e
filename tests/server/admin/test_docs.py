"""The admin API's pages are complete, and load nothing from elsewhere."""

from __future__ import annotations

import json
import re

import pytest

from tests.gateways import Running, get


async def test_the_page_loads_nothing_from_elsewhere(running: Running) -> None:
    page = await running.ask(get("/docs"))
    text = page.body.decode()
    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert not re.search(r"(?:src|href)=[\"']?(?:https?:)?//", text)
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"", text) + re.findall(r"url: '([^']+)'", text)
    assert len(named) == 4
    for path in named:
        assert (await running.ask(get(f"/{path}"))).status == 200


async def test_the_page_asks_for_a_key(running: Running) -> None:
    described = json.loads((await running.ask(get("/openapi.json"))).body)
    assert described["components"]["securitySchemes"]["key"]["scheme"] == "bearer"
    operations = [each for path in described["paths"].values() for each in path.values()]
    assert all(each["security"] == [{"key": []}] for each in operations)


@pytest.mark.parametrize(
    ("path", "status"), [("LICENSE", 200), ("none", 404), ("../docs.py", 404), ("", 404)]
)
async def test_only_files_of_the_page_are_served(running: Running, path: str, status: int) -> None:
    answer = await running.ask(get(f"/docs/{path}"))
    assert answer.status == status
    assert status == 200 or answer.error["code"] == "not_found"

"""schemathesis over the admin API: no failure of the gateway, and nothing that the OpenAPI document does not
have."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.gateways import make_settings, serving
from trunkline.ledger.keys import KeyStore
from trunkline.ledger.reader import open_reader
from trunkline.ledger.writer import Ledger

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The address of a gateway that runs in a thread of its own, and an admin's key."""
    folder: Path = tmp_path_factory.mktemp("contract")
    url = f"sqlite:///{folder}/trunkline.db"
    with KeyStore(url) as store:
        _, key = store.create("first")
    ready: Future[str] = Future()
    over = threading.Event()

    async def serve() -> None:
        async with AsyncExitStack() as stack:
            ledger = Ledger(url, folder / "ledger")
            running = await stack.enter_async_context(
                serving(make_settings(database_url=url), keys=open_reader(url), ledger=ledger)
            )
            ready.set_result(running.url)
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    yield ready.result(30), key
    over.set()
    thread.join()


@pytest.mark.long
def test_answers_conform_to_the_openapi_document(api: tuple[str, str]) -> None:
    url, key = api
    headers = {"x-api-key": key}
    document = requests.get(f"{url}/openapi.json", headers=headers, timeout=30).json()
    schema = schemathesis.openapi.from_dict(document)
    count = 0
    with requests.Session() as session:
        session.trust_env = False  # else it looks for proxies at each request
        for result in schema.get_all_operations():
            operation: Any = result.ok()  # type: ignore[union-attr]
            if operation.path.startswith("/admin/"):
                count += 1
                probe(operation, session, url, headers)
    assert count == 27


def probe(operation: Any, session: requests.Session, url: str, headers: dict[str, str]) -> None:
    """Send generated requests to one route, valid ones and invalid ones."""
    good = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    bad = operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)

    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(good | bad)
    def run(case: Any) -> None:
        if case.method == "DELETE" and "/keys/" in operation.path:
            case.path_parameters = {"which": "nobody"}  # the key in use must stay
        response = case.call(base_url=url, headers=headers, session=session, timeout=30)
        case.validate_response(response, checks=CHECKS)

    run()

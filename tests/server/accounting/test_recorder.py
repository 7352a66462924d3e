"""Lines of the log for what asks no model."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from trunkline.errors import CONFLICT, INTERNAL, SHUTTING_DOWN, UPSTREAM_RESET, GatewayError, ProviderError
from trunkline.observe.log import AccessLog
from trunkline.observe.metrics import Metrics
from trunkline.observe.sink import Sink
from trunkline.server.accounting.recorder import Recorder
from trunkline.server.http.request_head import RequestHead


@pytest.mark.parametrize(
    ("status", "error", "outcome"),
    [
        (200, None, "success"),
        (404, None, "refused"),
        (499, None, "client"),
        (500, None, "gateway"),
        (409, ProviderError("is pulled already", CONFLICT), "refused"),
        (502, ProviderError("broke off", UPSTREAM_RESET), "upstream"),
        (500, GatewayError("a bug", INTERNAL), "gateway"),
        (503, GatewayError("stops", SHUTTING_DOWN), "gateway"),
    ],
)
def test_pages_have_an_outcome_too(
    status: int, error: GatewayError | None, outcome: str, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        log = AccessLog(sink=Sink(file.fileno()))
        head = RequestHead(method="POST", path="/api/pull", request_id="r")
        Recorder(Metrics(), log).observe_page(head, status, error)
        log.close()
    line = msgspec.json.decode(path.read_bytes())
    assert (line["outcome"], line["status"]) == (outcome, status)

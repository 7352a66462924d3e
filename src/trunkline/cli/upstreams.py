"""``trunkline upstreams``: what rests at a running gateway and why, and how to end it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from trunkline.cli.common import read_settings
from trunkline.cli.running import ask_gateway, gateway_url
from trunkline.cli.tables import format_time, show_json, show_rows

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_COLUMNS = ("upstream", "state", "rests for", "after", "at", "in flight", "sent")


def show(config: Path | None, url: str | None, key: str | None, *, as_json: bool) -> int:
    """Print the upstreams, and the models that rest there.

    Args:
        config: the configuration file, for the gateway's address.
        url: the gateway's address; None takes that of the settings.
        key: an admin's key.
        as_json: print JSON instead of a table.

    Returns:
        The exit code: 1 if anything rests.

    Raises:
        GatewayRefusedError: no gateway answers, or it refuses.
    """
    return _print(_ask(config, url, key, "GET", "/admin/v1/upstreams"), as_json=as_json)


def reset(config: Path | None, url: str | None, key: str | None, which: str, *, as_json: bool) -> int:
    """Let a running gateway forget the failures of an upstream, and print the upstream.

    Args:
        config: the configuration file, for the gateway's address.
        url: the gateway's address; None takes that of the settings.
        key: an admin's key.
        which: an upstream as ``show`` prints it, or a provider.
        as_json: print JSON instead of a table.

    Returns:
        The exit code.

    Raises:
        GatewayRefusedError: no gateway answers, it refuses, or it has no such upstream.
    """
    path = f"/admin/v1/upstreams/{quote(which, safe='/')}/reset"
    return _print(_ask(config, url, key, "POST", path), as_json=as_json)


def _ask(config: Path | None, url: str | None, key: str | None, method: str, path: str) -> Any:
    if url is None:
        url = gateway_url(read_settings(config)[0])
    return ask_gateway(url, key, method, path)["data"]


def _print(upstreams: list[dict[str, Any]], *, as_json: bool) -> int:
    if as_json:
        show_json(upstreams)
    else:
        rows = [row for upstream in upstreams for row in _rows(upstream)]
        show_rows(_COLUMNS, rows, fold=("upstream", "after"), keep=2)
    return int(any(upstream["rests_for_s"] or upstream["resting_models"] for upstream in upstreams))


def _rows(upstream: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    """The row of an upstream, and one for each model that rests there."""
    rests = upstream["rests_for_s"]
    state = "rests" if rests else {"closed": "ok", "half-open": "is probed"}.get(upstream["breaker"], "rests")
    counts = str(upstream["in_flight"]), str(upstream["sent"])
    yield upstream["id"], state, _seconds(rests), *_failure(upstream["last_failure"]), *counts
    for model in upstream["resting_models"]:
        wait, failure = _seconds(model["rests_for_s"]), _failure(model["last_failure"])
        yield f"{upstream['id']}: {model['model']}", "rests", wait, *failure, "", ""


def _seconds(wait: float) -> str:
    return f"{wait:.0f} s" if wait else ""


def _failure(failure: dict[str, Any] | None) -> tuple[str, str]:
    """What failed and when."""
    if failure is None:
        return "", ""
    status = "" if failure["status"] is None else f" (status {failure['status']})"
    return f"{failure['code']}{status}", format_time(failure["at"])

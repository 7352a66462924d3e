"""``trunkline explain`` and ``trunkline check --replay``: where requests go, and what a file would change.

Both ask the providers for their models now, and the router of a gateway that does not serve.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from trunkline.cli.common import note, read_settings, say
from trunkline.cli.tables import show_json, show_rows
from trunkline.errors import GatewayError
from trunkline.observe.setup import configure_logging
from trunkline.settings import Exposure, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from trunkline.server.app.gateway import Gateway
    from trunkline.settings import Settings

_COLUMNS = ("order", "provider", "upstream", "model", "price", "why")


class Recorded(NamedTuple):
    """What one line of a request log says about routing."""

    asked: str
    operation: str
    provider: str
    model: str


_PREFIXED: Final = ("", "v1", "api", "key")


def show(config: Path | None, model: str, *, operation: str, as_json: bool) -> int:
    """Print a name's candidates in order, and why each is in or out; 1 if it leads nowhere."""
    from trunkline.routing.explain import explain

    def ask(gateway: Gateway) -> dict[str, Any]:
        kind: Any = operation
        return explain(gateway.router, model, time.perf_counter(), operation=kind)

    settings, _ = read_settings(config)
    try:
        told = _with_gateway(settings, ask)
    except GatewayError as error:
        note(error.message)
        return 1
    if as_json:
        show_json(told)
        return 0
    if told["route"]:
        say(f"route {told['route']}, by {told['strategy'][0]}")
    show_rows(_COLUMNS, [_row(each) for each in told["candidates"]], fold=("upstream", "why"))
    for other in told["others"]:
        say(f"not asked: {other['provider']}: {other['reason']}")
    return 0


def _row(candidate: dict[str, Any]) -> tuple[str, ...]:
    price = candidate["price_per_million_tokens"]
    return (
        str(candidate["order"] or "-"),
        candidate["provider"],
        candidate["upstream"],
        candidate["model"],
        "unknown" if price is None else f"{price:g} $/M",
        candidate["reason"],
    )


def replay(config: Path | None, log: Path) -> int:
    """Print what this configuration would do otherwise with the requests of a log; 1 if anything."""
    settings, _ = read_settings(config)
    lines = Counter(_recorded(log))
    if not lines:
        raise SettingsError(f"{log}: holds no request lines with the model that was asked for")
    changes = _with_gateway(settings, lambda gateway: list(_changes(gateway, lines)))
    requests = sum(lines.values())
    if not changes:
        say(f"{requests} requests, {len(lines)} kinds: all go where they went.")
        return 0
    show_rows(("requests", "asked for", "went to", "would go to"), changes, fold=("would go to",))
    moved = sum(int(change[0]) for change in changes)
    say(f"{moved} of {requests} requests would go elsewhere.")
    return 1


def _changes(gateway: Gateway, lines: Counter[Recorded]) -> Iterator[tuple[str, ...]]:
    for line, count in lines.most_common():
        operation: Any = line.operation
        try:
            pool = gateway.router.pool(line.asked, operation)
            places = {(candidate.provider.name, candidate.model) for candidate in pool.tiers[0].candidates}
        except GatewayError as error:
            yield str(count), line.asked, f"{line.provider}/{line.model}", f"an error: {error.message}"
            continue
        if not any(provider == line.provider and _same(model, line.model) for provider, model in places):
            there = ", ".join(sorted(f"{provider}/{model}" for provider, model in places))
            yield str(count), line.asked, f"{line.provider}/{line.model}", there


def _same(model: str, served: str) -> bool:
    """A served name may be more exact than the one that was asked for: ``gpt-4o-2024-08-06``."""
    short, long = sorted(
        (model.lower().removesuffix(":latest"), served.lower().removesuffix(":latest")), key=len
    )
    return long.startswith(short) or long.endswith(short)


def _recorded(log: Path) -> Iterator[Recorded]:
    """The request lines of a log that reached a provider by a bare path.

    Raises:
        SettingsError: the file cannot be read.
    """
    try:
        text = log.read_bytes()
    except OSError as error:
        raise SettingsError(f"{log} cannot be read: {error.strerror}") from None
    for line in text.splitlines():
        try:
            found = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        values = [found.get(name) for name in ("asked", "operation", "provider", "model")]
        pinned = str(found.get("path", "")).split("/")[1:2]
        if all(isinstance(value, str) for value in values) and pinned and pinned[0] in _PREFIXED:
            yield Recorded(*map(str, values))


def _with_gateway(settings: Settings, ask: Callable[[Gateway], Any]) -> Any:
    """What ``ask`` says of a gateway that has asked its providers for their models."""
    configure_logging("ERROR", "console")

    async def run() -> Any:
        from trunkline.server.app.gateway import Gateway

        gateway = Gateway(settings, Exposure("127.0.0.1", (), auth_required=True, open_network=False))
        try:
            await gateway.catalog.refresh()
            for name, listing in gateway.catalog.listings.items():
                if not listing.known:
                    note(f"provider {name!r} did not say which models it has")
            return ask(gateway)
        finally:
            await gateway.aclose()

    return asyncio.run(run())

"""``trunkline explain``: where requests for a model go. ``trunkline check --replay``: which requests of a log
would go elsewhere under a configuration.

Both ask the providers for their models, and then the router of a gateway that does not listen.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from trunkline.cli.common import print_note, print_result, read_settings
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


class LoggedRequest(NamedTuple):
    """The fields of a request log's line that concern routing."""

    asked: str
    operation: str
    provider: str
    model: str


_UNPINNED_PATHS: Final = ("", "v1", "api", "key")
"""The first path segments of requests that do not name a provider in their path."""


def show(config: Path | None, model: str, *, operation: str, as_json: bool) -> int:
    """Print the candidates for a model's name in order, and why each is chosen or excluded.

    Returns:
        The exit code: 1 if there is no candidate.
    """
    from trunkline.routing.explain import explain

    def explain_with(gateway: Gateway) -> dict[str, Any]:
        checked_operation: Any = operation
        return explain(gateway.router, model, time.perf_counter(), operation=checked_operation)

    settings, _ = read_settings(config)
    try:
        explanation = _run_with_gateway(settings, explain_with)
    except GatewayError as error:
        print_note(error.message)
        return 1
    if as_json:
        show_json(explanation)
        return 0
    if explanation["route"]:
        print_result(f"route {explanation['route']}, by {explanation['strategy'][0]}")
    show_rows(_COLUMNS, [_row(each) for each in explanation["candidates"]], fold=("upstream", "why"))
    for other in explanation["others"]:
        print_result(f"not asked: {other['provider']}: {other['reason']}")
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
    """Print which requests of a log this configuration would send elsewhere.

    Returns:
        The exit code: 1 if there are any.

    Raises:
        SettingsError: The log cannot be read, or has no requests.
    """
    settings, _ = read_settings(config)
    logged = Counter(_read_requests(log))
    if not logged:
        raise SettingsError(f"{log}: holds no request lines with the model that was asked for")
    changes = _run_with_gateway(settings, lambda gateway: list(_changes(gateway, logged)))
    requests = sum(logged.values())
    if not changes:
        print_result(f"{requests} requests, {len(logged)} kinds: all go where they went.")
        return 0
    show_rows(("requests", "asked for", "went to", "would go to"), changes, fold=("would go to",))
    moved = sum(int(change[0]) for change in changes)
    print_result(f"{moved} of {requests} requests would go elsewhere.")
    return 1


def _changes(gateway: Gateway, logged: Counter[LoggedRequest]) -> Iterator[tuple[str, ...]]:
    """Return the table's rows for the requests that would go elsewhere."""
    for request, count in logged.most_common():
        operation: Any = request.operation
        before = f"{request.provider}/{request.model}"
        try:
            pool = gateway.router.pool(request.asked, operation)
            targets = {(candidate.provider.name, candidate.model) for candidate in pool.tiers[0].candidates}
        except GatewayError as error:
            yield str(count), request.asked, before, f"an error: {error.message}"
            continue
        if not any(
            provider == request.provider and _is_same_model(model, request.model)
            for provider, model in targets
        ):
            now = ", ".join(sorted(f"{provider}/{model}" for provider, model in targets))
            yield str(count), request.asked, before, now


def _is_same_model(model: str, served: str) -> bool:
    """Whether two names mean the same model. A served name may be more exact: ``gpt-4o-2024-08-06``."""
    short, long = sorted(
        (model.lower().removesuffix(":latest"), served.lower().removesuffix(":latest")), key=len
    )
    return long.startswith(short) or long.endswith(short)


def _read_requests(log: Path) -> Iterator[LoggedRequest]:
    """Read the requests of a log that reached a provider and whose path names none.

    Raises:
        SettingsError: The log cannot be read.
    """
    try:
        text = log.read_bytes()
    except OSError as error:
        raise SettingsError(f"{log} cannot be read: {error.strerror}") from None
    for line in text.splitlines():
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue
        values = [fields.get(name) for name in LoggedRequest._fields]
        first_segment = str(fields.get("path", "")).split("/")[1:2]
        is_unpinned = bool(first_segment) and first_segment[0] in _UNPINNED_PATHS
        if is_unpinned and all(isinstance(value, str) for value in values):
            yield LoggedRequest(*map(str, values))


def _run_with_gateway(settings: Settings, function: Callable[[Gateway], Any]) -> Any:
    """Call a function with a gateway that has asked its providers for their models."""
    configure_logging("ERROR", "console")

    async def run() -> Any:
        from trunkline.server.app.gateway import Gateway

        gateway = Gateway(settings, Exposure("127.0.0.1", (), auth_required=True, open_network=False))
        try:
            await gateway.catalog.refresh()
            for name, listing in gateway.catalog.listings.items():
                if not listing.known:
                    print_note(f"provider {name!r} did not say which models it has")
            return function(gateway)
        finally:
            await gateway.aclose()

    return asyncio.run(run())

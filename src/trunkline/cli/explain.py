"""``trunkline explain`` and ``trunkline check --replay``: where requests go, and what a file changes.

Both commands make a gateway that does not serve, ask the providers for their models, and query its router.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from trunkline.cli.common import print_line, print_notice, read_settings
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
    """The fields of one line of a request log that are about routing."""

    requested_model: str
    """The model's name as the client sent it."""
    operation: str
    provider: str
    model: str


_UNPINNED_PATHS: Final = ("", "v1", "api", "key")
"""First segments of paths that name no provider."""


def show(config: Path | None, model: str, *, operation: str, as_json: bool) -> int:
    """Print the candidates for a model's name in order, and why each is used or not.

    Args:
        config: the configuration file.
        model: the model's name as a client would send it.
        operation: ``chat``, ``completions`` or ``embeddings``.
        as_json: print JSON instead of a table.

    Returns:
        The exit code: 1 if there is no candidate.
    """
    from trunkline.routing.explain import explain

    def query(gateway: Gateway) -> dict[str, Any]:
        kind: Any = operation
        return explain(gateway.router, model, time.perf_counter(), operation=kind)

    settings, _ = read_settings(config)
    try:
        explanation = _query_gateway(settings, query)
    except GatewayError as error:
        print_notice(error.message)
        return 1
    if as_json:
        show_json(explanation)
        return 0
    if explanation["route"]:
        print_line(f"route {explanation['route']}, by {explanation['strategy'][0]}")
    show_rows(_COLUMNS, [_row(each) for each in explanation["candidates"]], fold=("upstream", "why"))
    for other in explanation["others"]:
        print_line(f"not asked: {other['provider']}: {other['reason']}")
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
    """Print which requests of a log would go elsewhere with this configuration.

    Args:
        config: the configuration file.
        log: the gateway's log, with a JSON object in each line.

    Returns:
        The exit code: 1 if any request would go elsewhere.

    Raises:
        SettingsError: the settings are invalid, or the log cannot be read or has no requests.
    """
    settings, _ = read_settings(config)
    counts = Counter(_read_log(log))
    if not counts:
        raise SettingsError(f"{log}: holds no request lines with the model that was asked for")
    changes = _query_gateway(settings, lambda gateway: list(_find_changes(gateway, counts)))
    requests = sum(counts.values())
    if not changes:
        print_line(f"{requests} requests, {len(counts)} kinds: all go where they went.")
        return 0
    show_rows(("requests", "asked for", "went to", "would go to"), changes, fold=("would go to",))
    moved = sum(int(change[0]) for change in changes)
    print_line(f"{moved} of {requests} requests would go elsewhere.")
    return 1


def _find_changes(gateway: Gateway, counts: Counter[LoggedRequest]) -> Iterator[tuple[str, ...]]:
    """The requests that would go elsewhere: their number, the model, where they went and would go."""
    for line, count in counts.most_common():
        operation: Any = line.operation
        columns = str(count), line.requested_model, f"{line.provider}/{line.model}"
        try:
            pool = gateway.router.pool(line.requested_model, operation)
            targets = {(candidate.provider.name, candidate.model) for candidate in pool.tiers[0].candidates}
        except GatewayError as error:
            yield *columns, f"an error: {error.message}"
            continue
        if not any(provider == line.provider and _is_same(model, line.model) for provider, model in targets):
            names = ", ".join(sorted(f"{provider}/{model}" for provider, model in targets))
            yield *columns, names


def _is_same(model: str, served: str) -> bool:
    """Whether two names mean one model. The served one may be more exact, such as ``gpt-4o-2024-08-06``."""
    short, long = sorted(
        (model.lower().removesuffix(":latest"), served.lower().removesuffix(":latest")), key=len
    )
    return long.startswith(short) or long.endswith(short)


def _read_log(log: Path) -> Iterator[LoggedRequest]:
    """The requests of a log that reached a provider, without those whose path names the provider.

    Raises:
        SettingsError: the file cannot be read.
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
        values = [fields.get(name) for name in ("asked", "operation", "provider", "model")]
        first_segment = str(fields.get("path", "")).split("/")[1:2]
        if (
            all(isinstance(value, str) for value in values)
            and first_segment
            and first_segment[0] in _UNPINNED_PATHS
        ):
            yield LoggedRequest(*map(str, values))


def _query_gateway(settings: Settings, query: Callable[[Gateway], Any]) -> Any:
    """The result of ``query`` on a gateway with a full catalog. It prints which providers did not answer."""
    configure_logging("ERROR", "console")

    async def run() -> Any:
        from trunkline.server.app.gateway import Gateway

        gateway = Gateway(settings, Exposure("127.0.0.1", (), auth_required=True, open_network=False))
        try:
            await gateway.catalog.refresh()
            for name, listing in gateway.catalog.listings.items():
                if not listing.known:
                    print_notice(f"provider {name!r} did not say which models it has")
            return query(gateway)
        finally:
            await gateway.aclose()

    return asyncio.run(run())

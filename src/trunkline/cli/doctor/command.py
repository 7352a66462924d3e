"""The command: it has all providers asked at once, and prints what is wrong with each, and the fix."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from trunkline.cli.common import print_notice, read_settings
from trunkline.cli.doctor import findings, peek
from trunkline.cli.doctor.asking import UpstreamCheck
from trunkline.cli.doctor.expected import expected_models, is_implied, key_setting, url_setting
from trunkline.cli.doctor.findings import Finding, Place
from trunkline.cli.doctor.listening import check_address
from trunkline.cli.doctor.report import ProviderReport, Report, UpstreamReport, show
from trunkline.ledger.locate import StoreError
from trunkline.ledger.reader import open_reader
from trunkline.observe.setup import configure_logging
from trunkline.providers.base import ModelInfo, Provider
from trunkline.providers.build import build_providers
from trunkline.providers.http import HttpProvider
from trunkline.providers.vendors import VENDORS
from trunkline.routing.catalog import ModelListing
from trunkline.settings import SettingsError, check_self_loop, exposure, resolve_providers
from trunkline.transport import Client, parse_origin

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from trunkline.settings import ProviderConfig, Settings

LIMIT_S: Final = 10.0
"""Seconds that the check of one provider may take, unless the command line says otherwise."""


def doctor(config: Path | None, *, as_json: bool, limit_s: float) -> int:
    """Ask every provider, and look at the gateway's own address; print what is wrong and the fix.

    Args:
        config: the configuration file; None takes the default one if it exists.
        as_json: print JSON.
        limit_s: the longest time in seconds that the check of one provider may take.

    Returns:
        The exit code: 1 if something is wrong.

    Raises:
        SettingsError: the settings cannot be read, or a provider cannot be made of them.
    """
    settings, warnings = read_settings(config)
    for warning in warnings:
        print_notice(f"warning: {warning}")
    found, host = _check_start(settings)
    return examine(settings, host, found, as_json=as_json, limit_s=limit_s)


def examine(
    settings: Settings, host: str, found: Sequence[Finding] = (), *, as_json: bool, limit_s: float
) -> int:
    """Ask the providers of ``settings``, and print what is wrong.

    Args:
        settings: the configuration.
        host: the address that the gateway is to listen on.
        found: what is known to be wrong with the gateway itself.
        as_json: print JSON.
        limit_s: the longest time in seconds that the check of one provider may take.

    Returns:
        The exit code: 1 if something is wrong.
    """
    configure_logging("CRITICAL", "console")  # the failures are printed below
    gateway, providers = asyncio.run(_examine(settings, host, limit_s))
    report = Report(host, settings.ports, [*found, *gateway], providers)
    show(report, settings, as_json=as_json)
    return 1 if report.problems else 0


def _check_start(settings: Settings) -> tuple[list[Finding], str]:
    """What would prevent a start besides the port, and the address to listen on."""
    has_keys = bool(settings.api_keys)
    try:
        reader = open_reader(settings.database_url.get_secret_value())
        try:
            has_keys = has_keys or bool(reader.load().keys)
        finally:
            reader.close()
    except StoreError as error:
        fix = "set DATABASE_URL to a database that this user may open"
        return [Finding("store_unavailable", str(error), fix)], settings.host or "127.0.0.1"
    try:
        listening = exposure(settings, has_keys)
        check_self_loop(settings, listening)
    except SettingsError as error:
        return [_of_settings(each) for each in error.problems], settings.host or "127.0.0.1"
    return [], listening.host


def _of_settings(text: str) -> Finding:
    """A problem of the settings, which says itself after a semicolon what mends it."""
    problem, _, fix = text.partition("; ")
    return Finding("settings", problem, fix or "correct the settings")


async def _examine(
    settings: Settings, host: str, limit_s: float
) -> tuple[list[Finding], list[ProviderReport]]:
    """Ask all providers at once."""
    shared = Client()
    providers = build_providers(settings, shared)
    configured = resolve_providers(settings)
    is_contained = peek.in_container()
    try:
        gateway, reports = await asyncio.gather(
            check_address(host, settings, limit_s),
            asyncio.gather(
                *(
                    _check_provider(provider, configured[name], settings, is_contained, limit_s)
                    for name, provider in providers.items()
                )
            ),
        )
    finally:
        for provider in providers.values():
            await provider.aclose()
        await shared.aclose()
    return gateway, [_softened(report, settings, providers) for report in reports]


def _softened(report: ProviderReport, settings: Settings, providers: Iterable[str]) -> ProviderReport:
    """An Ollama that nobody has configured need not run, if there is another provider."""
    others = [name for name in providers if name not in (report.name, "custom")]
    if not is_implied(report.name, settings) or not others:
        return report
    more = "; if Ollama is not wanted, set OLLAMA_ENABLED=false"

    def soften(found: Sequence[Finding]) -> list[Finding]:
        return [each._replace(is_serious=False, fix=each.fix + more) for each in found]

    upstreams = [each._replace(findings=soften(each.findings)) for each in report.upstreams]
    return report._replace(upstreams=upstreams, findings=soften(report.findings))


async def _check_provider(
    provider: Provider, config: ProviderConfig, settings: Settings, is_contained: bool, limit_s: float
) -> ProviderReport:
    if not isinstance(provider, HttpProvider):  # a class in this process, without an address
        return ProviderReport(provider.name, provider.kind, [], await _check_class(provider, limit_s))
    spec = VENDORS.get(provider.kind)
    has_key = bool(config.api_key) or any(
        name.lower() in ("authorization", "x-api-key", "api-key") for name in config.headers
    )
    checks, places, numbers = [], [], []
    for upstream in provider.upstreams:
        origin, _ = parse_origin(upstream.url)
        url = upstream.url.removesuffix("" if spec is None else spec.path)
        place = Place(
            kind=provider.kind,
            title="Ollama" if spec is None else spec.title if spec.url else f"provider {provider.name!r}",
            url=url,
            host=origin.host,
            port=origin.port,
            url_setting=url_setting(provider.name, settings),
            key_setting=key_setting(provider.name, settings),
            has_key=has_key,
            own_url=None if spec is None else spec.url,
            in_container=is_contained,
        )
        places.append(place)
        numbers.append(int(upstream.name.partition("#")[2] or 1))
        checks.append(UpstreamCheck(provider, upstream, place, limit_s))
    await asyncio.gather(*(check.run() for check in checks))
    upstreams = [
        UpstreamReport(
            place.url, number, None if check.models is None else len(check.models), _excused(check, config)
        )
        for check, place, number in zip(checks, places, numbers, strict=True)
    ]
    common = await _check_models(
        checks,
        places[0],
        expected_models(provider.name, config, settings),
        has_variants=provider.has_vendor_ids,
    )
    return ProviderReport(provider.name, provider.kind, upstreams, common)


def _excused(check: UpstreamCheck, config: ProviderConfig) -> list[Finding]:
    """What was found. A server whose models the settings name need not list them."""
    fix = "nothing, if the server has no such list: the settings name its models"
    return [
        each._replace(is_serious=False, fix=fix) if each.code == "no_list" and config.models else each
        for each in check.findings
    ]


async def _check_class(provider: Provider, limit_s: float) -> list[Finding]:
    """Whether a Python provider lists its models. Its code may block, so it runs in a thread."""

    def list_models() -> None:
        asyncio.run(provider.fetch_models(provider.upstreams[0]))

    try:
        async with asyncio.timeout(limit_s):
            await peek.in_thread(list_models)
    except TimeoutError:
        problem = f"its list_models has not returned within {limit_s:g} s"
    except Exception as error:
        problem = f"its list_models failed with {type(error).__name__}"
    else:
        return []
    return [Finding("list_failed", problem, "correct the provider's class")]


async def _check_models(
    checks: Sequence[UpstreamCheck], place: Place, expected: Iterable[tuple[str, str]], *, has_variants: bool
) -> list[Finding]:
    """Which models that the settings name are at none of a provider's upstreams. Nothing is said while one of
    them has given no list: it may have the model. ``has_variants``: lists leave out ``vendor/model:variant``,
    as OpenRouter's."""
    lists = [check.models for check in checks if check.models is not None]
    if len(lists) < len(checks):
        return []
    listing = ModelListing()
    listing.replace({str(n): [ModelInfo(id=name) for name in names] for n, names in enumerate(lists)})
    settings_by_model: dict[str, str] = {}
    for model, setting in expected:
        settings_by_model.setdefault(model, setting)
    absent = [model for model in settings_by_model if not _is_listed(listing, model, has_variants)]
    known = await asyncio.gather(*(_is_known(checks, model) for model in absent))
    found = [
        findings.model_missing(place, model, settings_by_model[model], _closest(model, listing))
        for model, is_known in zip(absent, known, strict=True)
        if not is_known
    ]
    return found if found or listing.models else [findings.no_models(place)]


def _is_listed(listing: ModelListing, model: str, has_variants: bool) -> bool:
    base = model.rpartition(":")[0] if has_variants else ""
    return listing.find(model) is not None or (base != "" and listing.find(base) is not None)


async def _is_known(checks: Sequence[UpstreamCheck], model: str) -> bool:
    return any(await asyncio.gather(*(check.has(model) for check in checks)))


def _closest(model: str, listing: ModelListing) -> str | None:
    from difflib import get_close_matches

    names = {each.lower(): each for each in listing.models}
    close = get_close_matches(model.lower(), names, n=1)
    return names[close[0]] if close else None

"""What ``trunkline doctor`` has found, as lines for people and as JSON, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from trunkline.cli.common import print_line
from trunkline.cli.tables import show_json
from trunkline.errors import redact
from trunkline.settings import resolve_providers
from trunkline.settings.values import unbracket

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from trunkline.cli.doctor.findings import Finding
    from trunkline.settings import Settings

_SHORTEST_SECRET: Final = 6
"""Shorter secrets are not looked for in texts: they would be found in ordinary words."""


class UpstreamReport(NamedTuple):
    """What was found at one address with one key."""

    url: str
    key_number: int
    models: int | None
    """How many it has; None if it did not say."""
    findings: Sequence[Finding]


class ProviderReport(NamedTuple):
    """What was found of one provider."""

    name: str
    kind: str
    upstreams: Sequence[UpstreamReport]
    findings: Sequence[Finding]
    """What concerns all of its upstreams together."""

    def all_findings(self) -> Iterator[Finding]:
        """Everything that was found."""
        for upstream in self.upstreams:
            yield from upstream.findings
        yield from self.findings


class Report(NamedTuple):
    """All that was found."""

    host: str
    """The address that the gateway listens on, or would."""
    ports: Sequence[int]
    gateway: Sequence[Finding]
    """What concerns the gateway itself."""
    providers: Sequence[ProviderReport]

    @property
    def problems(self) -> int:
        """How many things are wrong."""
        everything = [*self.gateway, *(each for found in self.providers for each in found.all_findings())]
        return sum(finding.is_serious for finding in everything)


def show(report: Report, settings: Settings, *, as_json: bool) -> None:
    """Print a report.

    Args:
        report: what was found.
        settings: have the secrets that must not be printed.
        as_json: print JSON.
    """
    clean = _Cleaner(settings)
    if as_json:
        show_json(_as_json(report, clean))
        return
    _print(report, clean)
    count = "1 problem" if report.problems == 1 else f"{report.problems} problems"
    print_line(f"{count} found." if report.problems else "Nothing is wrong.")


class _Cleaner:
    """Takes secrets out of texts. None should be there; this is the last barrier."""

    def __init__(self, settings: Settings) -> None:
        secrets = [key.get_secret_value() for key in settings.api_keys]
        for config in resolve_providers(settings).values():
            secrets += (key.get_secret_value() for key in config.api_key)
            secrets += (value.get_secret_value() for value in config.headers.values())
            secrets += [] if config.proxy is None else [config.proxy.get_secret_value()]
        self._secrets = sorted({each for each in secrets if len(each) >= _SHORTEST_SECRET}, key=len)[::-1]

    def __call__(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return redact(text)


def _print(report: Report, clean: _Cleaner) -> None:
    for port in report.ports:
        print_line(f"gateway    {_at(report.host, port)}")
    _print_findings(report.gateway, clean)
    for provider in report.providers:
        if not provider.upstreams:
            print_line(f"provider   {provider.name}: runs in the gateway")
        for upstream in provider.upstreams:
            key = f" (key {upstream.key_number})" if upstream.key_number > 1 else ""
            models = "" if upstream.models is None else f": {upstream.models} models"
            print_line(clean(f"provider   {provider.name}: {upstream.url}{key}{models}"))
            _print_findings(upstream.findings, clean)
        _print_findings(provider.findings, clean)


def _print_findings(found: Sequence[Finding], clean: _Cleaner) -> None:
    for finding in found:
        print_line(clean(f"  {'PROBLEM' if finding.is_serious else 'note'}: {finding.problem}"))
        print_line(clean(f"  fix: {finding.fix}"))


def _at(host: str, port: int) -> str:
    bare = unbracket(host)
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"


def _as_json(report: Report, clean: _Cleaner) -> dict[str, Any]:
    def objects(found: Sequence[Finding]) -> list[dict[str, Any]]:
        return [
            {
                "code": each.code,
                "problem": clean(each.problem),
                "fix": clean(each.fix),
                "serious": each.is_serious,
            }
            for each in found
        ]

    def is_fine(found: Iterable[Finding]) -> bool:
        return not any(each.is_serious for each in found)

    return {
        "ok": not report.problems,
        "gateway": {
            "addresses": [_at(report.host, port) for port in report.ports],
            "ok": is_fine(report.gateway),
            "findings": objects(report.gateway),
        },
        "providers": [
            {
                "provider": provider.name,
                "type": provider.kind,
                "ok": is_fine(provider.all_findings()),
                "upstreams": [
                    {
                        "url": clean(upstream.url),
                        "key": upstream.key_number,
                        "ok": is_fine(upstream.findings),
                        "models": upstream.models,
                        "findings": objects(upstream.findings),
                    }
                    for upstream in provider.upstreams
                ],
                "findings": objects(provider.findings),
            }
            for provider in report.providers
        ],
    }

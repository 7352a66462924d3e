"""Model names that are scripts: how a client in any language asks for an answer or a fault.

Pure: a name in, a script or nothing out. Names are looked at without their vendor prefix, tag and case, so
that ``mock/mock-tools`` and ``mock-tools:latest`` are ``mock-tools``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from trunkline_mock.script import FAULT_KINDS, Fault, Script

_PATTERN: Final = re.compile(
    r"mock-(fault|status|tools|thinking|words|slow|no-usage)(?:-([a-z0-9_]+))?(?:-(\d+))?"
)

_DEFAULT_PAUSE_MS: Final = 50


def _fault(kind: str, after: str) -> Script | None:
    if kind not in FAULT_KINDS:
        return None
    return Script(fault=Fault(kind, after=int(after)) if after else Fault(kind))


def _status(code: str, retry_after: str) -> Script | None:
    if not code.isdecimal():
        return None
    return Script(
        fault=Fault("status", status=int(code), retry_after=float(retry_after) if retry_after else None)
    )


def _tools(count: str, rest: str) -> Script | None:
    return Script(call_tools=int(count or 1))


def _thinking(first: str, rest: str) -> Script | None:
    return Script(thinking="Let me think about that. ")


def _words(count: str, rest: str) -> Script | None:
    return Script(text="word ", repeat=int(count or 100))


def _slow(pause_ms: str, rest: str) -> Script | None:
    return Script(delay_chunk_s=int(pause_ms or _DEFAULT_PAUSE_MS) / 1000)


def _no_usage(first: str, rest: str) -> Script | None:
    return Script(usage=None)


_KINDS: Final[dict[str, Callable[[str, str], Script | None]]] = {
    "fault": _fault,
    "status": _status,
    "tools": _tools,
    "thinking": _thinking,
    "words": _words,
    "slow": _slow,
    "no-usage": _no_usage,
}


def magic_script(model: str) -> Script | None:
    """The script that ``model`` names, or ``None`` when it is an ordinary name."""
    name = model.rpartition("/")[2].partition(":")[0].lower()
    found = _PATTERN.fullmatch(name)
    if found is None:
        return None
    kind, first, second = found.group(1), found.group(2) or "", found.group(3) or ""
    if kind not in ("fault", "status") and first and not first.isdecimal():
        return None
    return _KINDS[kind](first, second)


def magic_names() -> tuple[str, ...]:
    """One name of each sort, for listings."""
    plain = ("mock-tools", "mock-thinking", "mock-words-100", "mock-slow", "mock-no-usage", "mock-status-429")
    return plain + tuple(f"mock-fault-{kind}" for kind in FAULT_KINDS)

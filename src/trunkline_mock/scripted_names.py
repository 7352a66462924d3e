"""Model names that stand for a script, so that a client in any language can ask for an answer or a fault.

Users know them as magic names (``list_magic``). A vendor prefix, a tag and the case of a name are ignored:
``mock/mock-tools`` and ``mock-tools:latest`` mean ``mock-tools``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from trunkline_mock.awkward import AWKWARD
from trunkline_mock.script import FAULT_KINDS, Fault, Script

_PATTERN: Final = re.compile(
    r"mock-(fault|status|awkward|tools|thinking|words|slow|no-usage)(?:-([a-z0-9_]+))?(?:-(\d+))?"
)

_DEFAULT_PAUSE_MS: Final = 50


def _fault(kind: str, after: str) -> Script | None:
    if kind not in FAULT_KINDS:
        return None
    return Script(fault=Fault(kind, after=int(after)) if after else Fault(kind))


def _awkward(name: str, _: str) -> Script | None:
    return Script(awkward=name) if name in AWKWARD else None


def _status(code: str, retry_after: str) -> Script | None:
    if not code.isdecimal():
        return None
    return Script(
        fault=Fault("status", status=int(code), retry_after=float(retry_after) if retry_after else None)
    )


def _tools(count: str, _: str) -> Script | None:
    return Script(call_tools=int(count or 1))


def _thinking(_: str, __: str) -> Script | None:
    return Script(thinking="Let me think about that. ")


def _words(count: str, _: str) -> Script | None:
    return Script(text="word ", repeat=int(count or 100))


def _slow(pause_ms: str, _: str) -> Script | None:
    return Script(delay_chunk_s=int(pause_ms or _DEFAULT_PAUSE_MS) / 1000)


def _no_usage(_: str, __: str) -> Script | None:
    return Script(usage=None)


_SCRIPTS: Final[dict[str, Callable[[str, str], Script | None]]] = {
    "fault": _fault,
    "awkward": _awkward,
    "status": _status,
    "tools": _tools,
    "thinking": _thinking,
    "words": _words,
    "slow": _slow,
    "no-usage": _no_usage,
}
"""Functions from the two arguments of a name, which may be empty, to its script."""


def script_for_name(model: str) -> Script | None:
    """The script that the model name ``model`` stands for, or ``None`` if it is an ordinary name."""
    name = model.rpartition("/")[2].partition(":")[0].lower()
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    kind, first, second = match.group(1), match.group(2) or "", match.group(3) or ""
    if kind not in ("fault", "status", "awkward") and first and not first.isdecimal():
        return None
    return _SCRIPTS[kind](first, second)


def example_names() -> tuple[str, ...]:
    """One scripted name of each kind, for model listings."""
    names = ("mock-tools", "mock-thinking", "mock-words-100", "mock-slow", "mock-no-usage", "mock-status-429")
    faults = tuple(f"mock-fault-{kind}" for kind in FAULT_KINDS)
    return names + faults + tuple(f"mock-awkward-{name}" for name in AWKWARD)

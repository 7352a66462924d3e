"""What every fault is given: the answer to be spoilt, and the vendor's words for what goes wrong.

No fault itself is here, nor any vendor: a shape lends its words through :class:`Voice`.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from trunkline_mock.delivery import Frame, Framing, Mark, Reply
from trunkline_mock.script import Fault, Script


class Voice(Protocol):
    """A vendor's words for what goes wrong, lent by a shape."""

    @property
    def heartbeat(self) -> bytes:
        """What may be sent for ever without saying anything."""

    def error(self, status: int, message: str | None, code: str | int | None) -> Reply:
        """The vendor's error answer for ``status``."""

    def midstream_error(
        self, reply: Reply, status: int, message: str | None, code: str | int | None
    ) -> bytes:
        """The record that says, in the middle of ``reply``, that it failed."""

    def error_in_200(self, reply: Reply, status: int, message: str | None, code: str | int | None) -> bytes:
        """The body that says, under status 200, that it failed."""


class Job(msgspec.Struct, frozen=True):
    """An answer to be spoilt."""

    reply: Reply
    script: Script
    fault: Fault
    framing: Framing
    voice: Voice


def upto(frames: tuple[Frame, ...], after: int) -> tuple[Frame, ...]:
    """The frames through the ``after``-th content frame; nothing that says "finished" is among them."""
    kept: list[Frame] = []
    seen = 0
    for frame in frames:
        if frame.mark is Mark.CONTENT:
            seen += 1
        if seen > after or frame.mark in (Mark.FINISH, Mark.USAGE, Mark.DONE):
            break
        kept.append(frame)
        if seen == after and frame.mark is Mark.CONTENT:
            break
    return tuple(kept)


def replaced(reply: Reply, frames: tuple[Frame, ...]) -> Reply:
    return msgspec.structs.replace(reply, frames=frames)


def half(data: bytes) -> bytes:
    return data[: max(len(data) // 2, 1)]


def next_content(reply: Reply, after: int) -> Frame:
    """The content frame that follows the first ``after``, or the last that there is."""
    contents = [frame for frame in reply.frames if frame.mark is Mark.CONTENT] or [Frame(b"{}")]
    return contents[min(after, len(contents) - 1)]

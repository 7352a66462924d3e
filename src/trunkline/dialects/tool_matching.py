"""Gives tool calls and their results the same ids again where a client's dialect has lost them.

The functions are pure and work on canonical messages. Ollama's clients drop the id of a call, of its result,
or of both, while other upstreams insist on it. A result belongs to the call with its id, else to the next
open call of its tool's name, else to the next open call. New ids depend only on the conversation so far, so
that the next turn renders the same prefix and an upstream's prompt cache still fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from trunkline.model import Message, Part, ToolCall, ToolResult


def match_tool_calls(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Return ``messages`` with a unique id on every tool call, and its call's id and name on every result.

    A result without a call keeps its name and gets an id of its own: the upstream decides whether that makes
    sense. Messages without tools are returned as they are.
    """
    calls: list[_Slot] = []
    results: list[_Slot] = []
    turn_calls: list[_Slot] = []
    turn_results: list[_Slot] = []
    for index, message in enumerate(messages):
        called = [_Slot((index, number), part) for number, part in _parts_of(message, ToolCall)]
        if called:
            _match(turn_results, turn_calls, calls)
            calls += called
            turn_calls, turn_results = called, []
        found = [_Slot((index, number), part) for number, part in _parts_of(message, ToolResult)]
        turn_results += found
        results += found
    _match(turn_results, turn_calls, calls)
    for result in results:  # one that stands before its call
        if result.peer is None and result.part.id is not None:
            _pair(result, (call for call in calls if call.part.id == result.part.id))
    if not calls and not results:
        return messages
    _assign_ids(calls, results)
    parts = {slot.position: slot.matched_part() for slot in (*calls, *results)}
    return tuple(
        msgspec.structs.replace(
            message,
            parts=tuple(parts.get((index, number), part) for number, part in enumerate(message.parts)),
        )
        for index, message in enumerate(messages)
    )


class _Slot:
    """One call or result, its position, and the result or call that it is matched with."""

    __slots__ = ("id", "part", "peer", "position")

    def __init__(self, position: tuple[int, int], part: ToolCall | ToolResult) -> None:
        self.position = position
        """Number of the message, and of the part in it."""
        self.part = part
        self.peer: _Slot | None = None
        self.id = ""

    def matched_part(self) -> Part:
        if isinstance(self.part, ToolResult) and self.peer is not None:
            return msgspec.structs.replace(self.part, id=self.peer.id, name=self.peer.part.name)
        return msgspec.structs.replace(self.part, id=self.id)


def _parts_of(
    message: Message, kind: type[ToolCall | ToolResult]
) -> Iterator[tuple[int, ToolCall | ToolResult]]:
    return ((number, part) for number, part in enumerate(message.parts) if isinstance(part, kind))


def _match(results: Sequence[_Slot], turn_calls: Sequence[_Slot], calls: Sequence[_Slot]) -> None:
    """Match the results that followed one turn's calls: by exact id first, so that guesses get the rest."""
    for result in results:
        if result.part.id is not None:
            _pair(result, (call for call in (*turn_calls, *calls) if call.part.id == result.part.id))
    for result in results:
        if result.peer is None and result.part.name:
            candidates = _candidates(result, turn_calls)
            _pair(result, (call for call in candidates if call.part.name == result.part.name))
    for result in results:
        if result.peer is None:
            _pair(result, _candidates(result, turn_calls))


def _candidates(result: _Slot, turn_calls: Sequence[_Slot]) -> Iterator[_Slot]:
    """The calls that a result may belong to by name or order: never one with another id than the result's."""
    return (call for call in turn_calls if result.part.id is None or call.part.id is None)


def _pair(result: _Slot, candidates: Iterator[_Slot]) -> None:
    for call in candidates:
        if call.peer is None:
            call.peer, result.peer = result, call
            return


def _assign_ids(calls: Sequence[_Slot], results: Sequence[_Slot]) -> None:
    """Give every slot its id: its own, else its peer's, else a new one; no two calls share one."""
    known: set[str] = {slot.part.id for slot in (*calls, *results) if slot.part.id}
    new_ids = (new_id for count in range(len(known) + len(calls) + len(results))
               if (new_id := f"call_{count:08d}") not in known)  # fmt: skip
    used: set[str] = set()
    for slot in (*calls, *(result for result in results if result.peer is None)):
        preferred = slot.part.id or (slot.peer.part.id if slot.peer else None)
        slot.id = preferred if preferred and preferred not in used else next(new_ids)
        used.add(slot.id)

"""Tool calls and their results, paired again where a client's dialect has lost the ids.

Pure, over the canonical messages. Ollama's clients drop the id of a call, of its result, or of both, while
other upstreams insist on it. A result belongs to the call with its id; else to the next open call of its
tool's name; else to the next open call. New ids depend on nothing but the conversation so far, so that the
next turn renders the same prefix and an upstream's prompt cache still fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from trunkline.model import Message, Part, ToolCall, ToolResult


def pair_tools(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """``messages`` with a unique id on every tool call, and its call's id and name on every result.

    A result without a call keeps its name and gets an id of its own: whether that makes sense is for the
    upstream to say. Messages without tools come back as they are.
    """
    calls: list[_Slot] = []
    results: list[_Slot] = []
    turn: list[_Slot] = []
    answers: list[_Slot] = []
    for index, message in enumerate(messages):
        called = [_Slot((index, at), part) for at, part in _tools(message, ToolCall)]
        if called:
            _match(answers, turn, calls)
            calls += called
            turn, answers = called, []
        found = [_Slot((index, at), part) for at, part in _tools(message, ToolResult)]
        answers += found
        results += found
    _match(answers, turn, calls)
    if not calls and not results:
        return messages
    _name(calls, results)
    parts = {slot.place: slot.paired() for slot in (*calls, *results)}
    return tuple(
        msgspec.structs.replace(
            message, parts=tuple(parts.get((index, at), part) for at, part in enumerate(message.parts))
        )
        for index, message in enumerate(messages)
    )


class _Slot:
    """One call or result, where it stands, and what it is paired with."""

    __slots__ = ("id", "part", "peer", "place")

    def __init__(self, place: tuple[int, int], part: ToolCall | ToolResult) -> None:
        self.place = place
        self.part = part
        self.peer: _Slot | None = None
        self.id = ""

    def paired(self) -> Part:
        if isinstance(self.part, ToolResult) and self.peer is not None:
            return msgspec.structs.replace(self.part, id=self.peer.id, name=self.peer.part.name)
        return msgspec.structs.replace(self.part, id=self.id)


def _tools(
    message: Message, kind: type[ToolCall | ToolResult]
) -> Iterator[tuple[int, ToolCall | ToolResult]]:
    return ((at, part) for at, part in enumerate(message.parts) if isinstance(part, kind))


def _match(answers: Sequence[_Slot], turn: Sequence[_Slot], calls: Sequence[_Slot]) -> None:
    """Pair the results that followed one turn's calls: exact ids first, so that guesses take what is left."""
    for answer in answers:
        if answer.part.id is not None:
            _pair(answer, (call for call in (*turn, *calls) if call.part.id == answer.part.id))
    for answer in answers:
        if answer.peer is None and answer.part.name:
            _pair(answer, (call for call in _guesses(answer, turn) if call.part.name == answer.part.name))
    for answer in answers:
        if answer.peer is None:
            _pair(answer, _guesses(answer, turn))


def _guesses(answer: _Slot, turn: Sequence[_Slot]) -> Iterator[_Slot]:
    """Calls that a result may belong to by name or order: one that names another id never takes theirs."""
    return (call for call in turn if answer.part.id is None or call.part.id is None)


def _pair(answer: _Slot, candidates: Iterator[_Slot]) -> None:
    for call in candidates:
        if call.peer is None:
            call.peer, answer.peer = answer, call
            return


def _name(calls: Sequence[_Slot], results: Sequence[_Slot]) -> None:
    """Give every slot its id: its own, else its peer's, else a new one; no two calls share one."""
    taken: set[str] = {slot.part.id for slot in (*calls, *results) if slot.part.id}
    fresh = (made for count in range(len(taken) + len(calls) + len(results))
             if (made := f"call_{count:08d}") not in taken)  # fmt: skip
    used: set[str] = set()
    for slot in (*calls, *(result for result in results if result.peer is None)):
        wanted = slot.part.id or (slot.peer.part.id if slot.peer else None)
        slot.id = wanted if wanted and wanted not in used else next(fresh)
        used.add(slot.id)

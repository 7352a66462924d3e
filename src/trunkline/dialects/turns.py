"""The normal form of turns, from which every back renders a conversation.

Clients send turns in orders and with arguments that one vendor takes and another refuses. In the normal form
the result of a call stands directly after the turn that made the call, whatever stood between; every call has
exactly one result; arguments are JSON objects; and no turn is empty without a reason. What vendors differ in
is data, :class:`TurnRules`.

The functions are pure. What they change depends only on the conversation so far, so that the next turn
renders the same prefix and an upstream's prompt cache still fits.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, Literal, TypeAlias

import msgspec

from trunkline.dialects.tool_arguments import as_object
from trunkline.dialects.tool_matching import match_tool_calls
from trunkline.model import Message, Part, Text, ToolCall, ToolResult

MISSING_RESULT: Final = "Error: this call was interrupted, and no result of it is known."
"""The result of a call for which the client sent none."""
ACKNOWLEDGEMENT: Final = "OK"
"""What the assistant says between a tool's result and the user, for vendors who want a turn there."""
_GAP: Final = "\n\n"


class TurnRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a vendor wants of the order of turns."""

    system: Literal["anywhere", "first"] = "anywhere"
    """Where system texts may stand. ``first`` makes one message of them, in front of all others."""
    user_after_tool: bool = True
    """A turn of the user may follow a tool's result."""


ANY_ORDER: Final = TurnRules()


def normalize_turns(messages: tuple[Message, ...], rules: TurnRules = ANY_ORDER) -> tuple[Message, ...]:
    """Return ``messages`` in the normal form.

    A result whose call is not in the conversation becomes a text of the user's, and a call without a result
    gets one that says so. Ids are given as :func:`.match_tool_calls` does.
    """
    turns = match_tool_calls(messages)
    if turns is not messages and not _is_ordered(turns):
        turns = tuple(_order_results(turns))
    has_empty, late_system = False, False
    for index, message in enumerate(turns):  # in one loop, as most conversations need none of what follows
        parts = message.parts
        if not parts or (isinstance(parts[0], Text) and not parts[0].text.strip() and _is_empty(message)):
            has_empty = True
        if index and message.role == "system":
            late_system = True
    if has_empty:
        turns = tuple(_without_empty(turns))
    if late_system and rules.system == "first":
        turns = _system_first(turns)
    if not rules.user_after_tool:
        turns = tuple(_acknowledge_results(turns))
    return turns


def _is_ordered(messages: Sequence[Message]) -> bool:
    """Whether every result stands where it belongs, and all arguments are objects."""
    waiting: set[str | None] = set()
    for message in messages:
        if message.role != "tool":
            if waiting:
                return False
            for part in message.parts:
                if isinstance(part, ToolCall):
                    waiting.add(part.id)
                    if as_object(part.arguments) != part.arguments:
                        return False
                elif isinstance(part, ToolResult):
                    return False
            continue
        for part in message.parts:
            if not isinstance(part, ToolResult) or part.id not in waiting:
                return False
            waiting.discard(part.id)
    return not waiting


_Results: TypeAlias = dict[str | None, ToolResult]
"""Results by the ids of their calls, in the order in which the client sent them."""


def _order_results(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages, with each result after the turn that made its call."""
    results = {
        part.id: part for message in messages for part in message.parts if isinstance(part, ToolResult)
    }
    called = {part.id for message in messages for part in message.parts if isinstance(part, ToolCall)}
    calling: list[Message] = []
    for message in messages:
        own = tuple(
            part for part in message.parts if not (isinstance(part, ToolResult) and part.id in called)
        )
        if not own and message.parts:
            continue
        if any(isinstance(part, ToolCall) for part in own):
            if not all(isinstance(part, ToolCall) for part in own):
                yield from _with_results(calling, results)
                calling = []
            calling.append(msgspec.structs.replace(message, parts=tuple(map(_repaired, own))))
            continue
        yield from _with_results(calling, results)
        calling = []
        if message.role == "tool":
            yield Message(role="user", parts=tuple(_orphan_as_text(own)))
        else:
            yield message if len(own) == len(message.parts) else msgspec.structs.replace(message, parts=own)
    yield from _with_results(calling, results)


def _with_results(calling: Sequence[Message], results: _Results) -> Iterator[Message]:
    """A turn with calls, together with turns of nothing but calls that follow it, and all their results."""
    if not calling:
        return
    parts = tuple(part for message in calling for part in message.parts)
    yield msgspec.structs.replace(calling[0], parts=parts)
    calls = {part.id: part for part in parts if isinstance(part, ToolCall)}
    for result in results.values():
        if calls.pop(result.id, None) is not None:
            yield Message(role="tool", parts=(result,))
    for call in calls.values():
        missing = (Text(text=MISSING_RESULT),)
        yield Message(
            role="tool", parts=(ToolResult(id=call.id, name=call.name, parts=missing, is_error=True),)
        )


def _repaired(part: Part) -> Part:
    if not isinstance(part, ToolCall):
        return part
    arguments = as_object(part.arguments)
    return part if arguments == part.arguments else msgspec.structs.replace(part, arguments=arguments)


def _orphan_as_text(parts: Sequence[Part]) -> Iterator[Part]:
    """Results without their calls, as what a user would write."""
    for part in parts:
        if isinstance(part, ToolResult):
            yield Text(
                text=f"Result of an earlier call of the tool {part.name or '(unknown)'}:{_GAP}{part.text}"
            )
            yield from (each for each in part.parts if not isinstance(each, Text))
        else:
            yield part


def _is_empty(message: Message) -> bool:
    return all(isinstance(part, Text) and not part.text.strip() for part in message.parts)


def _without_empty(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages without turns that say nothing. The turns on both sides of one become one turn if they are
    of one role, since chat templates may insist that roles alternate. A user's turn that is first or last
    stays: without it somebody else would have begun, or would be asked to go on."""
    first = next((index for index, message in enumerate(messages) if message.role != "system"), 0)
    held: Message | None = None
    skipped = False
    last = len(messages) - 1
    for index, message in enumerate(messages):
        keeps = (message.role == "user" and index in (first, last)) or (index == last and held is None)
        if _is_empty(message) and not keeps:
            skipped = True
            continue
        if held is None:
            held = message
        elif skipped and held.role == message.role and message.role in ("user", "assistant"):
            held = _joined(held, message)
        else:
            yield held
            held = message
        skipped = False
    if held is not None:
        yield held


def _joined(first: Message, second: Message) -> Message:
    parts = (*first.parts, *second.parts)
    if first.parts and second.parts:
        before, after = first.parts[-1], second.parts[0]
        if isinstance(before, Text) and isinstance(after, Text):
            joint = (Text(text=before.text + _GAP + after.text, cache=after.cache),)
            parts = (*first.parts[:-1], *joint, *second.parts[1:])
    return msgspec.structs.replace(first, parts=parts)


def _system_first(messages: Sequence[Message]) -> tuple[Message, ...]:
    """The messages with all system texts in one, in front."""
    systems = [message for message in messages if message.role == "system"]
    if not systems:
        return tuple(messages)
    merged = systems[0] if len(systems) == 1 else Message(role="system", parts=_joined_systems(systems))
    return (merged, *(message for message in messages if message.role != "system"))


def _joined_systems(systems: Sequence[Message]) -> tuple[Part, ...]:
    """All parts: as one text, unless they are more than plain text."""
    parts = tuple(part for message in systems for part in message.parts)
    if any(not isinstance(part, Text) or part.cache for part in parts):
        return parts
    return (Text(text=_GAP.join(message.text for message in systems)),)


def _acknowledge_results(messages: Sequence[Message]) -> Iterator[Message]:
    """The messages with a word of the assistant's between a tool's result and a turn of the user."""
    before = None
    for message in messages:
        if before == "tool" and message.role == "user":
            yield Message(role="assistant", parts=(Text(text=ACKNOWLEDGEMENT),))
        yield message
        before = message.role

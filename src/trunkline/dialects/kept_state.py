"""Keeps the thinking and the state of turns with tool calls for clients that do not send them back.

Some clients' dialects have no field for a vendor's state, and some clients drop fields that they do not know.
What belonged to a turn's calls is kept here, by the key of the request, the conversation and the call, and is
put in place again before the next turn is sent. A provider has a store of its own: nobody else's state can
come from it. The oldest turns are forgotten when it is full; a vendor then gets what its rules say of lost
state. Pure: values in, values out.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.vendor_state import is_sealed, unseal
from trunkline.events import ThinkingDelta, ToolCallDelta
from trunkline.model import ChatRequest, Message, Part, Thinking, ToolCall

MAX_BYTES: Final = 16 * 1024 * 1024
"""What one provider's store may hold."""
_OVERHEAD: Final = 300
"""Bytes that an entry takes besides its texts."""


class _Turn(NamedTuple):
    thoughts: tuple[Thinking, ...]
    states: tuple[str | None, ...]
    """By call."""
    names: tuple[str, ...]
    """Of the tools that are called."""
    contents: Sequence[bytes]
    """The keys of the calls by what they call."""

    @property
    def size(self) -> int:
        texts = (text for each in self.thoughts for text in (each.text, each.signature or ""))
        return _OVERHEAD + sum(map(len, texts)) + sum(len(state or "") for state in self.states)


class _Entry(NamedTuple):
    turn: _Turn
    number: int
    """Of the call within its turn."""
    size: int


class KeptState:
    """The turns of one provider that are kept.

    Args:
        max_bytes: What they may take together.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self.size = 0
        """Bytes that are taken, about."""

    def __len__(self) -> int:
        return len(self._entries)

    def keep(self, owner: str, request: ChatRequest, events: Iterable[ThinkingDelta | ToolCallDelta]) -> None:
        """Keep a whole turn, if it has calls and something that belongs to them.

        Args:
            owner: The id of the key that it was asked for with.
            request: What it answers.
            events: Its thinking and its calls.
        """
        thoughts, calls = _fold(events)
        if not calls or not (thoughts or any(call.state for call in calls)):
            return
        conversation = _conversation(owner, request.messages)
        contents = _contents(conversation, calls)
        states, names = tuple(call.state for call in calls), tuple(call.name for call in calls)
        turn = _Turn(thoughts, states, names, contents)
        size = turn.size
        for number, call in enumerate(calls):
            for key in (*_ids(conversation, call), contents[number]):
                self._put(key, _Entry(turn, number, size))
                size = _OVERHEAD  # the other entries share the turn

    def _put(self, key: bytes, entry: _Entry) -> None:
        before = self._entries.pop(key, None)
        self.size += entry.size - (0 if before is None else before.size)
        self._entries[key] = entry
        while self.size > self._max_bytes:
            _, oldest = self._entries.popitem(last=False)
            self.size -= oldest.size

    def restore(self, owner: str, request: ChatRequest) -> ChatRequest:
        """Return the request with what its client did not send back of its turns with calls; the request
        itself if nothing is missing, or nothing is kept.

        Args:
            owner: The id of the key that it was sent with.
            request: What is about to be sent.
        """
        messages = request.messages
        found = [_with_call_state(message) for message in messages]
        if self._entries and any(_has_calls(message) for message in found):
            conversation = _conversation(owner, messages)
            found = [
                self._restored(message, conversation) if _has_calls(message) else message for message in found
            ]
        if all(new is old for new, old in zip(found, messages, strict=True)):
            return request
        return msgspec.structs.replace(request, messages=tuple(found))

    def _restored(self, message: Message, conversation: bytes) -> Message:
        calls = [part for part in message.parts if isinstance(part, ToolCall)]
        entries = self._find(conversation, calls)
        turn = next((entry.turn for entry in entries if entry is not None), None)
        if turn is None:
            return message
        states = iter(
            call.state or (None if entry is None else entry.turn.states[entry.number])
            for call, entry in zip(calls, entries, strict=True)
        )
        parts: list[Part] = [
            msgspec.structs.replace(part, state=next(states)) if isinstance(part, ToolCall) else part
            for part in message.parts
        ]
        if turn.thoughts and not _is_complete(message, turn):
            parts = [*turn.thoughts, *(part for part in parts if not isinstance(part, Thinking))]
        return msgspec.structs.replace(message, parts=tuple(parts))

    def _find(self, conversation: bytes, calls: Sequence[ToolCall]) -> Sequence[_Entry | None]:
        """What is kept of each call: of a turn with the same calls, or else of the calls with these ids. A
        turn with one of the calls beside others is another one."""
        contents = _contents(conversation, calls)
        for key in contents:
            entry = self._get(key)
            if entry is not None and entry.turn.contents == contents:
                return [entry._replace(number=number) for number in range(len(calls))]
        return [self._find_id(conversation, call) for call in calls]

    def _find_id(self, conversation: bytes, call: ToolCall) -> _Entry | None:
        for key in _ids(conversation, call):
            entry = self._get(key)
            if entry is not None and entry.turn.names[entry.number] == call.name:
                return entry
        return None

    def _get(self, key: bytes) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is not None:
            self._entries.move_to_end(key)
        return entry


def _is_complete(message: Message, turn: _Turn) -> bool:
    """Whether the client sent back the thoughts that it was given, and with them what the vendor wants."""
    sent = [part for part in message.parts if isinstance(part, Thinking)]
    if any(thought.signature for thought in sent):
        return True
    return bool(sent) and not any(thought.signature for thought in turn.thoughts)


def _has_calls(message: Message) -> bool:
    return message.role == "assistant" and any(isinstance(part, ToolCall) for part in message.parts)


def _with_call_state(message: Message) -> Message:
    """The message with the state of calls where it belongs: some fronts write it as a thought before the
    call."""
    if message.role != "assistant" or not any(_call_state(part) for part in message.parts):
        return message
    parts: list[Part] = []
    state: str | None = None
    for part in message.parts:
        if found := _call_state(part):
            state = found
        elif isinstance(part, ToolCall) and state is not None:
            parts.append(msgspec.structs.replace(part, state=part.state or state))
            state = None
        else:
            parts.append(part)
    return msgspec.structs.replace(message, parts=tuple(parts))


def _call_state(part: Part) -> str | None:
    if not isinstance(part, Thinking) or part.signature is None or not is_sealed(part.signature):
        return None
    sealed = unseal(part.signature)
    return part.signature if sealed is not None and sealed.form == "extra" else None


def _fold(
    events: Iterable[ThinkingDelta | ToolCallDelta],
) -> tuple[tuple[Thinking, ...], Sequence[ToolCall]]:
    """The thoughts and the calls of the first choice."""
    thoughts: list[Thinking] = []
    text: list[str] = []
    calls: dict[int, tuple[ToolCall, list[str]]] = {}
    for event in events:
        if event.choice:
            continue
        if isinstance(event, ThinkingDelta):
            text.append(event.text)
            if event.signature:
                thoughts.append(Thinking(text="".join(text), signature=event.signature))
                text = []
            continue
        call, pieces = calls.get(event.index) or (ToolCall(id=None, name="", arguments=""), [])
        call = msgspec.structs.replace(
            call,
            id=call.id or event.id,
            name=call.name or event.name or "",
            state=event.state or call.state,
        )
        pieces.append(event.arguments)
        calls[event.index] = (call, pieces)
    if rest := "".join(text):
        thoughts.append(Thinking(text=rest))
    whole = [msgspec.structs.replace(call, arguments="".join(pieces)) for call, pieces in calls.values()]
    return tuple(thoughts), whole


def _conversation(owner: str, messages: Sequence[Message]) -> bytes:
    """A digest of the key and of how the conversation began."""
    first = next((message.text for message in messages if message.role == "user" and message.text), "")
    return _digest(owner.encode(), first.encode("utf-8", "replace"))


def _ids(conversation: bytes, call: ToolCall) -> list[bytes]:
    """The key of a call by its id, if it has one."""
    return [_digest(conversation, b"id", call.id.encode("utf-8", "replace"))] if call.id else []


def _contents(conversation: bytes, calls: Sequence[ToolCall]) -> list[bytes]:
    """The keys of calls by what they call, for clients that drop ids."""
    return [
        _digest(conversation, call.name.encode("utf-8", "replace"), _plain(call.arguments)) for call in calls
    ]


def _plain(arguments: str) -> bytes:
    """Arguments in one form, whatever spaces and order a client gave them."""
    try:
        return msgspec.json.encode(msgspec.json.decode(arguments or "{}"), order="deterministic")
    except UNREADABLE:
        return arguments.encode("utf-8", "replace")


def _digest(*pieces: bytes) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for piece in pieces:
        digest.update(len(piece).to_bytes(8) + piece)
    return digest.digest()

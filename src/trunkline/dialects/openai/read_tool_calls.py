"""The tool calls of one choice, put together from whatever pieces an upstream sends.

OpenAI numbers its calls, begins each with its id and whole name, and goes on with pieces of its arguments.
Other servers number all calls 0 or none at all or count the pieces, send ids late, never or twice, a name in
pieces, again and again or behind the arguments, and arguments that are an object, ``null``, encoded twice, or
empty before they are something. What comes out is as OpenAI sends it. A piece is held back only while it is
unclear.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from trunkline.dialects.openai.answer_schema import CallPiece, FunctionPiece
from trunkline.dialects.tool_arguments import is_object, open_arguments
from trunkline.events import ToolCallDelta


def is_never_tool(name: str) -> bool:
    """Say of every name that it may not be whole: for answers to requests whose tools are not known."""
    return False


class _Call:
    """One call as far as it has come."""

    __slots__ = ("arguments", "begun", "id", "name", "open", "sent", "state", "wire_id")

    def __init__(self) -> None:
        self.id: str | None = None
        self.wire_id: str | None = None
        """The id that the server gave it, which it may have given to an earlier call as well."""
        self.name = ""
        self.arguments = ""
        self.begun = False
        """Its name was sent on."""
        self.open = False
        """Its arguments are the text of an object, and go on as they come."""
        self.state: str | None = None
        """What its vendor wants back with it, until it is sent on."""
        self.sent = 0
        """Characters of its arguments that were sent on."""


class CallNumbering:
    """Numbers one choice's tool calls, and puts their pieces in order.

    Args:
        is_tool: Whether this is the whole name of a tool that the request has: such a name need not wait for
            its arguments to be known as whole.
        seal: Makes the state that goes back of a call's ``extra_content``; None where nobody wants it back.
        holds_empty: Arguments that are ``{}`` wait for the end of the choice: some servers fill them later.
    """

    def __init__(
        self,
        is_tool: Callable[[str], bool] = is_never_tool,
        seal: Callable[[Any], str] | None = None,
        *,
        holds_empty: bool = True,
    ) -> None:
        self._is_tool = is_tool
        self._holds_empty = holds_empty
        self._seal = seal
        self._calls: list[_Call] = []
        self._by_wire_index: dict[int, int] = {}
        self._first_waiting = 0

    def add(self, pieces: Sequence[CallPiece], choice: int, *, is_whole: bool = False) -> list[ToolCallDelta]:
        """Return what the ``tool_calls`` of one chunk, or of a whole answer, add."""
        events: list[ToolCallDelta] = []
        touched: set[int] = set()
        for piece in pieces:
            function = piece.function or FunctionPiece(piece.name, piece.arguments)
            number = None if is_whole else self._find(piece, function, touched)
            if number is None:
                number = len(self._calls)
                self._calls.append(_Call())
                if piece.index is not None:
                    self._by_wire_index[piece.index] = number
            touched.add(number)
            self._extend(number, piece, function)
            event = self._next(number, choice, is_last=is_whole)
            if event is not None:
                if event.name is not None:
                    events += self._begin_earlier(number, choice)
                events.append(event)
        return events

    def _begin_earlier(self, number: int, choice: int) -> list[ToolCallDelta]:
        """Begin the calls before this one that still wait: their names are whole, as another has begun."""
        events = []
        for earlier in range(self._first_waiting, number):
            call = self._calls[earlier]
            if not call.begun and call.name:
                call.begun = True
                events.append(ToolCallDelta(earlier, call.id, call.name, "", choice))
        self._first_waiting = number + 1
        return events

    def flush(self, choice: int) -> list[ToolCallDelta]:
        """Return all that was held back, as nothing more comes."""
        events = (self._next(number, choice, is_last=True) for number in range(len(self._calls)))
        return [event for event in events if event is not None]

    def _find(self, piece: CallPiece, function: FunctionPiece, touched: set[int]) -> int | None:
        """The number of the call that a piece continues; None if it begins one."""
        calls = self._calls
        if piece.id:
            for number in range(len(calls) - 1, -1, -1):
                if calls[number].wire_id == piece.id:
                    return None if self._is_another(calls[number], piece, function) else number
        if piece.index is not None:
            known = self._by_wire_index.get(piece.index)
            if not (piece.id or function.name) and calls and self._continues_latest(known, piece, function):
                known = len(calls) - 1
        elif not calls or (function.name and function.name != calls[-1].name):
            known = None
        else:  # without an index and a name of its own it belongs to the latest call
            known = len(calls) - 1
        if known is None or not (piece.id or function.name):
            return known
        call = calls[known]
        if piece.id and call.wire_id is not None:  # a new id begins a new call, if something else says so too
            return None if function.name or is_object(call.arguments) else known
        if function.name and not piece.id:
            if known in touched:  # no chunk brings two pieces of one name
                return None
            begins = call.name != function.name or _text(function.arguments).strip()
            if call.name and begins and is_object(call.arguments):
                return None
        return known

    def _is_another(self, call: _Call, piece: CallPiece, function: FunctionPiece) -> bool:
        """Whether a piece that begins under the id of an earlier call is another call."""
        is_new_index = piece.index is not None and piece.index not in self._by_wire_index
        return bool(function.name) and is_new_index and is_object(call.arguments)

    def _continues_latest(self, known: int | None, piece: CallPiece, function: FunctionPiece) -> bool:
        """Whether nameless arguments go on with the latest call, whatever their index says: what that has so
        far is no object, and the call that the index means, if there is one, wants none."""
        if not _text(function.arguments) or is_object(self._calls[-1].arguments):
            return False
        return known is None or (known != len(self._calls) - 1 and is_object(self._calls[known].arguments))

    def _extend(self, number: int, piece: CallPiece, function: FunctionPiece) -> None:
        call = self._calls[number]
        if call.wire_id is None and piece.id:
            call.wire_id = piece.id
            if all(other.id != piece.id for other in self._calls):
                call.id = piece.id
        name = function.name.strip() if function.name else None
        if name and not call.begun and name != call.name:
            call.name = name if name.startswith(call.name) else call.name + name
        if piece.extra_content and self._seal is not None:
            call.state = self._seal(piece.extra_content)
        if function.arguments is not None:
            text = _text(function.arguments)
            if self._holds_empty and call.arguments.strip() == "{}" and text.lstrip().startswith("{"):
                call.arguments = text  # what came first was a form to be filled
            elif not (piece.id and name and text == call.arguments and is_object(text)):  # else said again
                call.arguments += text

    def _next(self, number: int, choice: int, *, is_last: bool) -> ToolCallDelta | None:
        """What can be sent on of a call now."""
        call = self._calls[number]
        arguments = call.arguments
        begins = not call.begun
        if begins and not is_last and not (call.name and (arguments.strip() or self._is_tool(call.name))):
            return None
        if not call.open:
            is_empty = self._holds_empty and arguments.strip() == "{}"
            call.open = arguments.lstrip().startswith("{") and (is_last or not is_empty)
        new = arguments[call.sent :] if call.open else ""
        if is_last and not call.open and not call.sent and arguments.strip():
            new = open_arguments(arguments)
            call.open = True
        call.sent = len(arguments) if call.open else 0
        state, call.state = call.state, None
        if not begins:
            is_news = new or state is not None or not is_last
            return ToolCallDelta(number, None, None, new, choice, state) if is_news else None
        call.begun = True
        return ToolCallDelta(number, call.id, call.name, new, choice, state)


def _text(arguments: Any) -> str:
    """Arguments as text: an object, or another value in its place, is encoded."""
    if arguments is None:
        return ""
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()

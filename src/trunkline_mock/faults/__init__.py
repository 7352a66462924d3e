"""The implementation of the faults.

Every kind of fault is in exactly one of two tables. :data:`CONTENT_FAULTS` (module ``content``) changes the
response: its status, its headers or its records. :data:`WIRE_FAULTS` (module ``wire``) sends a correct
response incorrectly. A fault gets a :class:`FaultContext` (module ``context``) and produces the steps that a
connection executes. Nothing here uses a socket.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from trunkline_mock.faults.content import CONTENT_FAULTS
from trunkline_mock.faults.context import ErrorFormat, FaultContext
from trunkline_mock.faults.wire import WIRE_FAULTS
from trunkline_mock.steps import Step, response_steps

__all__ = ["CONTENT_FAULTS", "WIRE_FAULTS", "ErrorFormat", "FaultContext", "faulty_steps"]


def faulty_steps(context: FaultContext) -> Iterator[Step]:
    """The steps of a response with a fault."""
    change_response = CONTENT_FAULTS.get(context.fault.kind)
    if change_response is not None:
        response = change_response(context)
        framing = context.framing
        if not response.streamed:
            framing = msgspec.structs.replace(framing, chunked=False)
        return response_steps(response, context.script, framing)
    return WIRE_FAULTS[context.fault.kind](context)

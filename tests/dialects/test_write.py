"""The base class of writers of whole answers."""

from __future__ import annotations

from trunkline.dialects import write
from trunkline.errors import GatewayError
from trunkline.events import Answer, TextDelta


class Text(write.WholeWriter[Answer]):
    """Writes the text of an answer and nothing else."""

    def finish(self) -> bytes:
        return "".join(self._answer.choices[0].text).encode()

    def fail(self, error: GatewayError) -> bytes:
        return error.message.encode()


def test_events_are_gathered_until_the_end() -> None:
    writer = Text(Answer())
    assert writer.content_type == b"application/json"
    assert writer.feed([TextDelta("a"), TextDelta("b")]) == writer.feed([TextDelta("c")]) == b""
    assert writer.finish() == b"abc"

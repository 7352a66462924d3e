"""Answers in shapes that vendors and servers were seen to send, though no reference has them.

- ``shape``: what an awkward shape is, and how it changes a response.
- ``chat``: shapes of OpenAI's chat API: envelope, usage, text, and content of other kinds.
- ``calls``: its tool calls. ``transfer``: how a body is sent. ``errors``: errors of every form.
- ``others``: shapes of Anthropic's Messages and of Ollama's chat API.

:data:`AWKWARD` has all of them by name.
"""

from __future__ import annotations

from typing import Final

from trunkline_mock.awkward.calls import CALLS
from trunkline_mock.awkward.chat import CHAT
from trunkline_mock.awkward.errors import ERRORS
from trunkline_mock.awkward.others import OTHERS
from trunkline_mock.awkward.shape import Awkward, Carries, make_awkward
from trunkline_mock.awkward.transfer import TRANSFER

__all__ = ["AWKWARD", "Awkward", "Carries", "make_awkward"]

AWKWARD: Final[dict[str, Awkward]] = {
    shape.name: shape for shape in (*CHAT, *CALLS, *TRANSFER, *ERRORS, *OTHERS)
}
"""Every awkward shape, by its name."""

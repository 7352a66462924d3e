"""What a Responses client asks for and no upstream can give."""

from __future__ import annotations

from trunkline.errors import UNSUPPORTED, CallerError


def unsupported(what: str, at: str, instead: str = "") -> CallerError:
    """A field asks for something that the gateway does not have, or cannot say to upstreams."""
    hint = f"; {instead}" if instead else ""
    return CallerError(f"{what} is not supported here ('{at}'){hint}", UNSUPPORTED, param=at)

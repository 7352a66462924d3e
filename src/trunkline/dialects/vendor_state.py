"""State that a vendor wants back: whose it is, and in which form it travels through other dialects.

Vendors give state with an answer (signed or encrypted thinking, signatures of tool calls) and want it back,
unchanged, with the next turn. No other vendor can read it, and most refuse it. On its way through canonical
values and through clients of other dialects it is *sealed*: one string that names its maker, its form and its
data. State that is not sealed came from a client of the vendor's own dialect; whether the vendor made it is
known by what passed through before, and by the form that all of the vendor's state has.
"""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple

Form = Literal["signature", "redacted", "encrypted", "details", "field", "extra"]
"""What sealed state is: the signature of thinking; Anthropic's redacted thinking; the ``encrypted_content``
of a reasoning item; OpenRouter's ``reasoning_details`` as JSON; the field in which plain thinking came; the
``extra_content`` of a tool call as JSON."""

MARK: Final = "trunkline:"
"""Begins sealed state."""
MARK_BYTES: Final = MARK.encode()

_OLD_SIGNATURE: Final = "signature:"
"""Began a signature of Anthropic's in reasoning items that earlier versions wrote."""
_FORMS: Final[Mapping[str, Form]] = {
    "signature": "signature",
    "redacted": "redacted",
    "encrypted": "encrypted",
    "details": "details",
    "field": "field",
    "extra": "extra",
}
_NATIVE: Final = frozenset({"signature", "encrypted"})
"""Forms that clients of a vendor's own dialect send without a seal, where others' dialects have a place."""
_MOST_KNOWN: Final = 20_000
"""Pieces of state whose makers are remembered, as digests of 16 bytes."""


class Sealed(NamedTuple):
    """A piece of state, with its maker and its form."""

    maker: str
    form: Form
    data: str


def seal(maker: str, form: Form, data: str) -> str:
    """Return state as one string that says whose it is."""
    return f"{MARK}{maker.replace(':', '_')}:{form}:{data}"


def unseal(state: str) -> Sealed | None:
    """Return what :func:`seal` was given; None for state that is not sealed."""
    if state.startswith(_OLD_SIGNATURE):
        return Sealed("anthropic", "signature", state.removeprefix(_OLD_SIGNATURE))
    if not state.startswith(MARK):
        return None
    maker, _, rest = state.removeprefix(MARK).partition(":")
    form, colon, data = rest.partition(":")
    known = _FORMS.get(form)
    return Sealed(maker, known, data) if known is not None and colon else None


def is_sealed(state: str) -> bool:
    """Return whether state was sealed here, or claims to have been."""
    return state.startswith((MARK, _OLD_SIGNATURE))


def is_redacted(state: str) -> bool:
    """Return whether state is sealed redacted thinking."""
    sealed = unseal(state) if state.startswith(MARK) else None
    return sealed is not None and sealed.form == "redacted"


class MadeState:
    """Which state was made by whom, as far as it was seen. All providers of a gateway share one; the oldest
    is forgotten when there is too much."""

    __slots__ = ("_makers",)

    def __init__(self) -> None:
        self._makers: OrderedDict[bytes, str] = OrderedDict()

    def note(self, state: str, maker: str) -> None:
        """Remember who made this piece of state."""
        self._makers[_digest(state)] = maker
        if len(self._makers) > _MOST_KNOWN:
            self._makers.popitem(last=False)

    def maker_of(self, state: str) -> str | None:
        """Return who made this piece of state; None if that was not seen."""
        return self._makers.get(_digest(state))


class Maker:
    """One provider as the maker of state: seals its own, and knows it again.

    Args:
        name: Who makes it. Providers with one name take each other's state. An empty name is nobody in
            particular: nothing is sealed, and everything that is not sealed counts as its own.
        forms: How its own state looks, by form. State of a form without an entry cannot be told apart from
            others': what is not sealed counts as its own, unless another was seen to make it.
        made: Which state was made by whom.
    """

    __slots__ = ("_forms", "_made", "name", "reasons_openly", "thinking_field")

    def __init__(
        self,
        name: str = "",
        forms: Mapping[Form, re.Pattern[str]] | None = None,
        made: MadeState | None = None,
    ) -> None:
        self.name = name.replace(":", "_")
        self._forms = forms or {}
        self._made = MadeState() if made is None else made
        self.thinking_field: str | None = None
        """The field in which it was seen to send plain thinking."""
        self.reasons_openly = False
        """It was seen to send reasoning items in plain text."""

    def knows(self, form: Form) -> bool:
        """Return whether state of this form that it did not make can be told from its own."""
        return form in self._forms

    def seal(self, form: Form, data: str) -> str:
        """Return its own state, sealed. Nobody's state stays as it is."""
        return seal(self.name, form, data) if self.name else data

    def note(self, data: str) -> None:
        """Remember that it made this piece of state."""
        self._made.note(data, self.name)

    def is_others(self, data: str) -> bool:
        """Return whether another vendor was seen to make this piece of state."""
        return self._made.maker_of(data) not in (None, self.name)

    def open(self, state: str | None, *forms: Form) -> Sealed | None:
        """Return what this vendor can read of ``state``.

        Args:
            state: Sealed, or as a client of the vendor's own dialect sent it.
            forms: What it may be. State that is not sealed is taken as the first of them.

        Returns:
            The state; None if there is none, another vendor made it, or it is of another form.
        """
        if not state or not state.strip():
            return None
        if is_sealed(state):
            sealed = unseal(state)
            if sealed is None or sealed.form not in forms:
                return None
            return sealed if not self.name or sealed.maker == self.name else None
        is_own = forms[0] in _NATIVE and self._looks_own(state, forms[0])
        return Sealed(self.name, forms[0], state) if is_own else None

    def _looks_own(self, state: str, form: Form) -> bool:
        maker = self._made.maker_of(state)
        if maker is not None:
            return maker == self.name
        pattern = self._forms.get(form)
        return pattern is None or pattern.fullmatch(state) is not None


def _digest(data: str) -> bytes:
    return hashlib.blake2b(data.encode("utf-8", "replace"), digest_size=16).digest()


def string_values(body: bytes, pattern: re.Pattern[bytes]) -> Iterator[str]:
    """Return the texts that ``pattern`` finds in its first group. None of them may hold an escape."""
    return (found.decode("utf-8", "replace") for found in pattern.findall(body))

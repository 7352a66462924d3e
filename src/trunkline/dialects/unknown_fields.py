"""Fields that no other dialect has: what becomes of them where a request is translated.

Each dialect has two lists. A *state field* changes what the rest of the request means: it refers to something
that a server holds, or has other models and tools take part in the answer. It is kept where the upstream has
it, emulated where that can be done, and else refused in the vendor's words. A *harmless field* is left out,
because an answer without it is still right. A field on neither list is refused, as the vendor itself does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Generic, TypeVar

import msgspec

from trunkline.dialects.request_errors import decode
from trunkline.errors import CallerError

_T = TypeVar("_T", bound=msgspec.Struct)

_decode_fields: Final = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_NOTHING: Final = frozenset({b"null", b"false", b"[]", b'""'})
"""Values that ask for nothing."""


class RequestDecoder(Generic[_T]):
    """Decodes the requests of one operation, and tells which of their fields are left out.

    Args:
        request: The struct of such a request. It has all fields that are used, and the state fields.
        harmless: The harmless fields.
        refuse: Makes the error for any other field, in the vendor's words.
    """

    def __init__(
        self, request: type[_T], harmless: frozenset[str], refuse: Callable[[str], CallerError]
    ) -> None:
        strict = msgspec.defstruct(
            f"Strict{request.__name__}", [], bases=(request,), kw_only=True, forbid_unknown_fields=True
        )
        self.decode: Final[Callable[[bytes], _T]] = msgspec.json.Decoder(strict).decode  # type: ignore[assignment]
        """Decodes a request that has no other fields. Raises for every other request, also for a wrong one:
        :meth:`decode_slowly` then says what is wrong."""
        self._lenient = msgspec.json.Decoder(request)
        self._known = frozenset(field.encode_name for field in msgspec.structs.fields(request))
        self._harmless = harmless
        self._refuse = refuse

    def decode_slowly(self, body: bytes) -> tuple[_T, tuple[str, ...]]:
        """Return a request, and the names of its fields that are left out.

        Raises:
            CallerError: The request is wrong, or has a field that is not known to be harmless.
        """
        request = decode(self._lenient, body)
        left_out = []
        for name, value in _decode_fields(body).items():
            if name in self._known or bytes(value) in _NOTHING:
                continue
            if name not in self._harmless:
                raise self._refuse(name)
            left_out.append(name)
        return request, tuple(left_out)

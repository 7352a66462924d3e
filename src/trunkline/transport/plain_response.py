"""A response that comes whole in one read and has nothing unusual in its head, told apart by one expression.

Most answers that are not streamed come like that. They need no parser, and their header fields are split only
if somebody looks at them. Whatever the expression does not match goes through the parser.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]"
"""A character of a field's name (RFC 9110, 5.6.2)."""
_VALUE: Final = rb"[\t -~\x80-\xff]"
"""A character of a field's value (RFC 9110, 5.5)."""
_HEAD: Final = re.compile(
    rb"HTTP/1\.1 200 (?:%(value)b)*+\r\n"
    rb"(?:"
    rb"(?i:content-length): ?(?P<length>\d{1,15})\r\n"
    rb"|(?i:connection): ?(?i:keep-alive)\r\n"
    rb"|(?!(?i:content-length|connection|transfer-encoding|content-encoding|keep-alive|upgrade)\b)"
    rb"%(token)b++:(?:%(value)b)*+\r\n"
    rb"){1,64}+\r\n" % {b"token": _TOKEN, b"value": _VALUE}
)
_FIELD: Final = re.compile(rb"\n([^:\r]+):[ \t]*([^\r]*?)[ \t]*(?=\r)")
_LENGTHS: Final = re.compile(rb"(?i)\ncontent-length:")


def find_body(data: bytes, longest: int) -> int:
    """Where the body begins in ``data``, if that is one such response, whole; else 0.

    Args:
        data: what came in one read, from the first byte of a response on.
        longest: bytes of a body that is taken; 0 is any number.
    """
    head = _HEAD.match(data)
    if head is None:
        return 0
    length, start = head["length"], head.end()
    if length is None or len(data) - start != int(length) or 0 < longest < int(length):
        return 0
    return start if len(_LENGTHS.findall(data, 0, start)) == 1 else 0


def split_fields(head: bytes) -> list[tuple[bytes, bytes]]:
    """The header fields of such a head, with names in lower case."""
    return [(name.lower(), value) for name, value in _FIELD.findall(head)]

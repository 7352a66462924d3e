"""Records of a stream that are not one record of an answer each.

Some servers end a record with one line break, so that several come as one; some mark a record twice as data,
send heartbeats as data, or write the end otherwise than OpenAI. Here such a payload becomes the records that
it holds. It is looked at only after it could not be decoded.
"""

from __future__ import annotations

import re
from typing import Final

DONE: Final = b"[DONE]"
_IDLE: Final = re.compile(rb"""["[:]?(?:null|none|ping|pong|heartbeat|keep-?alive)?["\]]?""", re.IGNORECASE)


def split_records(payload: bytes) -> list[bytes] | None:
    """Return the records in ``payload``; None if it is one record, as far as can be told."""
    lines = [_unmarked(line) for line in payload.split(b"\n")]
    records = [line for line in lines if not _is_idle(line)]
    if len(lines) == 1:
        return None if records == [payload] else records
    return records if all(record[:1] == b"{" or record == DONE for record in records) else None


def _unmarked(line: bytes) -> bytes:
    """One line without marks of its kind, with the usual form of the end."""
    line = line.strip()
    while line.startswith(b"data:"):
        line = line[5:].lstrip()
    return DONE if line.strip(b'"').upper() == DONE else line


def _is_idle(line: bytes) -> bool:
    return _IDLE.fullmatch(line) is not None

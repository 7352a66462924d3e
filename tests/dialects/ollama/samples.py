"""Bytes as Ollama servers send them, built from the few things that a case is about."""

from __future__ import annotations

import msgspec

HEAD = b'"model":"llama3.2","created_at":"2026-08-04T08:52:19.385406455-07:00"'
DONE = (
    b"{" + HEAD + b',"message":{"role":"assistant","content":""},"done":true,"done_reason":"stop",'
    b'"total_duration":40,"load_duration":10,"prompt_eval_count":26,"prompt_eval_duration":20,'
    b'"eval_count":7,"eval_duration":5}\n'
)


def text(content: str, more: bytes = b"") -> bytes:
    """A line of text; ``more`` are further fields of its message."""
    encoded = msgspec.json.encode(content)
    return b"{" + HEAD + b',"message":{"role":"assistant","content":' + encoded + more + b'},"done":false}\n'


CALLS = (
    b',"tool_calls":[{"id":"call_a","function":{"index":5,"name":"f","arguments":{"x": [1, 2.50]}}},'
    b'{"id":"call_b","function":{"name":"g","arguments":"{\\"y\\":\\"\xc3\xa9\\"}"}},'
    b'{"id":"call_c","function":{"name":"h"}},'
    b'{"id":"call_d","function":{"name":"i","arguments":null}},'
    b'{"id":"call_e","function":{"name":"j","arguments":""}}]'
)
"""Further fields of a message: calls with arguments in every form."""
HELLO = text("Hel") + text("lo") + DONE

"""Bodies as Go's JSON decoder reads them."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.dialects.ollama import CHAT, EMBED, EMBEDDINGS, GENERATE, OllamaFront, go_json
from trunkline.dialects.ollama import request_schema as schema
from trunkline.errors import CallerError


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"a":1} trailing', b'{"a":1}'),
        (b' \n{"a":1}{"b":2}', b'{"a":1}'),
        (rb'{"a":"\ud83d"}', rb'{"a":"\ufffd"}'),
        (rb'{"a":"\uDe00\ud83d\ude00\uD83D"}', rb'{"a":"\ufffd\ud83d\ude00\ufffd"}'),
        (rb'{"a":"\\ud83d\u0041"}', rb'{"a":"\\ud83d\u0041"}'),
        (b'{"a":"\xff"}', '{"a":"\ufffd"}'.encode()),
        (b"{", None),
        (b"", None),
        (b"x", None),
        (b"[" * 100_000, None),
    ],
)
def test_repair(body: bytes, read: bytes | None) -> None:
    assert go_json.repair(body) == read


@pytest.mark.parametrize(
    ("body", "read"),
    [
        (b'{"Model":"m"}', {"model": "m"}),
        (b'{"MODEL":"m","model":"n"}', {"model": "n"}),
        (b'{"model":"m","Model":"n"}', {"model": "n"}),
        (b'{"model":"m","\\u004dodel":"n"}', {"model": "n"}),
        (b'{"Mode\\u006c":"m"}', {"model": "m"}),
        ('{"option\u017f":{},"\u212aeep_alive":0}'.encode(), {"options": {}, "keep_alive": 0}),
        (b'{"Unknown":1,"model":"m"}', {"Unknown": 1, "model": "m"}),
        (b'{"Options":{"Seed":1}}', {"options": {"Seed": 1}}),
        (
            b'{"messages":[{"Role":"user","Tool_Calls":[{"Function":{"Arguments":{"Name":1}}}]}]}',
            {"messages": [{"role": "user", "tool_calls": [{"function": {"arguments": {"Name": 1}}}]}]},
        ),
        (
            b'{"Tools":[{"Type":"function","Function":{"Name":"f","Parameters":{"Type":"object"}}}]}',
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": {"Type": "object"}}}]},
        ),
        (b'{"messages":"Role","Tools":null}', {"messages": "Role", "tools": None}),
        (b'{"Format":{"Name":1}}', {"format": {"Name": 1}}),
    ],
)
def test_names_of_fields(body: bytes, read: object) -> None:
    assert go_json.find_odd_name(body)
    assert msgspec.json.decode(go_json.respell(body, schema.Chat)) == read


@pytest.mark.parametrize(
    "body",
    [
        b'{"options":{},"option\\u017f":{}}',
        b'{"messages":[],"Messages":[]}',
        b'{"messages":[{"role":"user","images":["a"],"Images":["b"]}]}',
    ],
)
def test_two_spellings_of_one_name(body: bytes) -> None:
    assert go_json.find_odd_name(body)
    with pytest.raises(CallerError, match="different spellings"):
        go_json.respell(body, schema.Chat)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"m","messages":[{"role":"user","content":"\\"Model\\": x"}]}',
        b'{"model":"m","tools":[{"function":{"name":"f","parameters":{"properties":{"filePath":{}}}}}]}',
        b'{"model":"m","tools":[{"function":{"parameters":{"properties":{"Name":{}}}}}]}',
        b'{"Unknown":1}',
        b'["Model"]',
        b'{"Model":',
    ],
)
def test_what_is_usual_stays_byte_by_byte(body: bytes) -> None:
    assert go_json.respell(body, schema.Chat) is body


@pytest.mark.parametrize("front", [CHAT, GENERATE, EMBED, EMBEDDINGS])
def test_a_summary_brings_the_usual_body(front: OllamaFront) -> None:
    assert front.summarize(b'{"model":"m"}').body is None
    summary = front.summarize(b'{"MODEL":"m","Keep_Alive":0} x')
    assert (summary.model, summary.body) == ("m", b'{"model":"m","keep_alive":0}')
    assert front.summarize(b'{"model":"m"}{').body == b'{"model":"m"}'
    with pytest.raises(CallerError, match="model: Expected"):
        front.summarize(b'{"Model":3}')
    with pytest.raises(CallerError, match="invalid JSON"):
        front.summarize(b'{"model"')

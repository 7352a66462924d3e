"""Clients' own bodies, changed in a few fields and in nothing else."""

from __future__ import annotations

import msgspec
import pytest

from trunkline.dialects.base import NO_DEFAULTS, RequestDefaults, RequestSummary
from trunkline.dialects.body_patch import patch_body
from trunkline.errors import CallerError

BODY = b'{ "model": "m", "big": 12345678901234567890, "num": 1.0, "temperature": null }'


def patched(
    body: bytes, model: str = "m", defaults: RequestDefaults = NO_DEFAULTS, *, routes: bool = True
) -> bytes:
    return patch_body(
        body, RequestSummary(model="m", stream=False), model, defaults, bound="max", takes_routing=routes
    )


def test_nothing_to_change_is_the_same_object() -> None:
    assert patched(BODY) is BODY
    assert patched(BODY, defaults=RequestDefaults(drop=frozenset({"absent"}))) is BODY


CHANGES = [
    ("n", NO_DEFAULTS, b'{"model":"n","big":12345678901234567890,"num":1.0,"temperature":null}'),
    (
        "m",
        RequestDefaults(temperature=0.5),
        b'{"model":"m","big":12345678901234567890,"num":1.0,"temperature":0.5}',
    ),
    (
        "m",
        RequestDefaults(drop=frozenset({"big", "temperature"}), temperature=1.0),
        b'{"model":"m","num":1.0}',
    ),
    (
        "m",
        RequestDefaults(max_tokens=7, fields={"num": 2, "new": [1]}),
        b'{"model":"m","big":12345678901234567890,"num":1.0,"temperature":null,"new":[1],"max":7}',
    ),
]


@pytest.mark.parametrize(("model", "defaults", "result"), CHANGES)
def test_only_open_fields_are_filled(model: str, defaults: RequestDefaults, result: bytes) -> None:
    assert patched(BODY, model, defaults) == result


@pytest.mark.parametrize(
    ("body", "result"),
    [
        (b'{"provider":{"zdr":false,"only":["a"]}}', {"zdr": True, "only": ["a"]}),
        (b'{"provider":"odd"}', {"zdr": True}),
        (b"{}", {"zdr": True}),
    ],
)
def test_rules_of_routing_win_over_wishes(body: bytes, result: object) -> None:
    defaults = RequestDefaults(routing={"zdr": True})
    assert msgspec.json.decode(patched(body, defaults=defaults))["provider"] == result
    assert patched(body, defaults=defaults, routes=False) is body


@pytest.mark.parametrize("body", [b"[]", b"{", b"\xff"])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(CallerError, match="not a JSON object"):
        patched(body, "n")

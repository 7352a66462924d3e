"""The check of keys, lengths and origins."""

from __future__ import annotations

import pytest

from tests.gateways import KEY, make_settings
from trunkline.errors import CallerError
from trunkline.policy.auth import KeyRing, configured_id
from trunkline.server.http.admission import Admission
from trunkline.server.http.dispatcher import RequestIds


def admission(*origins: str, required: bool = True) -> Admission:
    settings = make_settings(cors_allowed_origins=origins, max_body_bytes=10)
    return Admission(settings, KeyRing(settings.api_keys), required=required)


def test_ids_are_unlike_any_other() -> None:
    here, there = RequestIds(), RequestIds()
    ids = [here.get(None), here.get(None), there.get(None), there.get(b"two words"), here.get(b"")]
    assert len(set(ids)) == 5
    assert all(each.startswith("req_") for each in ids)


def test_a_clients_own_id() -> None:
    assert RequestIds().get(b"abc-123") == "abc-123"


def test_keys() -> None:
    found = admission().check_key([(b"x-api-key", KEY.encode())])
    assert found is not None
    assert found.id == configured_id(KEY)
    assert admission().check_key([], KEY) == found
    assert admission(required=False).check_key([]) is None
    with pytest.raises(CallerError, match="Missing API key") as caught:
        admission().check_key([])
    assert caught.value.status == 401


def test_lengths() -> None:
    admission().check_length(10)
    with pytest.raises(CallerError, match="larger than 10 bytes") as caught:
        admission().check_length(11)
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("origins", "origin", "allowed"),
    [
        ((), b"https://a.example", False),
        (("https://a.example",), None, False),
        (("https://a.example",), b"https://a.example", True),
        (("https://a.example",), b"https://a.example.evil", False),
        (("https://a.example",), b"http://a.example", False),
        (("https://a.example",), b"null", False),
        (("*",), b"https://b.example", True),
    ],
)
def test_origins(origins: tuple[str, ...], origin: bytes | None, allowed: bool) -> None:
    lines = admission(*origins).cors(origin)
    expected = b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % origin if origin and allowed else b""
    assert lines == expected


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (b"http://localhost:3000", True),
        (b"https://127.0.0.1", True),
        (b"http://[::1]:80", True),
        (b"http://localhost:3000.evil.example", False),
        (b"ftp://localhost", False),
        (b"http://localhost:123456", False),
    ],
)
def test_pages_of_this_machine(origin: bytes, allowed: bool) -> None:
    assert bool(admission().cors(origin, allows_loopback=True)) == allowed
    assert not admission().cors(origin)

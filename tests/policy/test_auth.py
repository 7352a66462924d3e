"""Authentication: which keys are valid, and the errors for those that are not."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from pydantic import SecretStr

from tests.policy.guarding import FakeProvider
from trunkline.dialects.base import RequestDefaults
from trunkline.errors import INVALID_API_KEY, CallerError
from trunkline.ledger.policies import StoredKey, StoredTeam
from trunkline.policy.auth import (
    ApiKey,
    KeyRing,
    Role,
    authenticate,
    configured_id,
    configured_ids,
    may_reach,
    may_use,
    redact_path,
    split_key_path,
)
from trunkline.settings.sections import KeyPolicy

KEY = "gw_" + "k" * 43
ADMIN = "gw_" + "a" * 43


def record(key: str, name: str, role: Role = "member", **more: Any) -> StoredKey:
    digest = sha256(key.encode()).hexdigest()
    return StoredKey(id=f"id-{name}", name=name, role=role, prefix=key[:6], hash=digest, **more)


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing(
        [SecretStr("configured-key"), SecretStr("short")],
        [record(KEY, "app"), record(ADMIN, "boss", "admin")],
    )


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([(b"authorization", b"Bearer " + KEY.encode())], "app"),
        ([(b"authorization", b"bearer  " + KEY.encode() + b" ")], "app"),
        ([(b"x-api-key", KEY.encode())], "app"),
        ([(b"api-key", ADMIN.encode())], "boss"),
        ([(b"host", b"h"), (b"accept", b"*/*"), (b"x-api-key", ADMIN.encode())], "boss"),
        ([(b"authorization", b"Basic abc"), (b"x-api-key", KEY.encode())], "app"),
        ([(b"authorization", b"Bearer wrong"), (b"x-api-key", KEY.encode())], "app"),
        ([(b"x-api-key", b"configured-key")], "ALLOWED_API_KEYS #1"),
        ([(b"x-api-key", b"short")], "ALLOWED_API_KEYS #2"),
    ],
)
def test_a_known_key_is_accepted(ring: KeyRing, headers: list[tuple[bytes, bytes]], name: str) -> None:
    for required in (True, False):
        found = authenticate(headers, ring, required)
        assert found is not None
        assert found.name == name


@pytest.mark.parametrize(
    ("headers", "word"),
    [
        ([], "Missing"),
        ([(b"host", b"h"), (b"x-api-key", b"  ")], "Missing"),
        ([(b"authorization", b"Basic c2VjcmV0")], "Malformed"),
        ([(b"authorization", b"Bearer")], "Malformed"),
        ([(b"authorization", b"Bearer   ")], "Malformed"),
        ([(b"authorization", KEY.encode())], "Malformed"),
        ([(b"authorization", b"Bearer gw_c2VjcmV0")], "Invalid"),
        ([(b"x-api-key", b"\xff\xfe")], "Invalid"),
        ([(b"authorization", b"Basic c2VjcmV0"), (b"api-key", b"nobody")], "Invalid"),
    ],
)
def test_an_error_says_why_and_does_not_repeat_the_key(
    ring: KeyRing, headers: list[tuple[bytes, bytes]], word: str
) -> None:
    with pytest.raises(CallerError, match=f"^{word}") as caught:
        authenticate(headers, ring, required=True)
    assert caught.value.kind is INVALID_API_KEY
    assert caught.value.status == 401
    assert "c2VjcmV0" not in caught.value.message
    assert KEY not in caught.value.message
    assert authenticate(headers, ring, required=False) is None


def test_a_key_in_the_path_counts_if_it_is_passed_in(ring: KeyRing) -> None:
    found = authenticate([], ring, required=True, path_key=KEY)
    assert found is not None
    assert found.name == "app"
    with pytest.raises(CallerError, match=r"^Invalid"):
        authenticate([], ring, required=True, path_key="nobody")


def test_replacing_the_stored_keys_keeps_the_configured_ones(ring: KeyRing) -> None:
    def valid() -> list[str]:
        return [key for key in ("configured-key", "short", KEY, ADMIN) if ring.find(key.encode()) is not None]

    assert valid() == ["configured-key", "short", KEY, ADMIN]
    ring.replace([record(ADMIN, "boss", "admin")])
    assert valid() == ["configured-key", "short", ADMIN]
    assert ring.find(ADMIN.encode()) == ApiKey(id="id-boss", name="boss", role="admin", prefix=ADMIN[:6])


@pytest.mark.parametrize("text", [b"", b"configured-key", KEY.encode(), bytes(32)])
def test_an_empty_ring_finds_no_key(text: bytes) -> None:
    assert KeyRing().find(text) is None


def test_configured_keys_are_members_with_a_short_prefix(ring: KeyRing) -> None:
    one, two = (f"env-{sha256(key).hexdigest()[:8]}" for key in (b"configured-key", b"short"))
    assert ring.find(b"configured-key") == ApiKey(
        id=one, name="ALLOWED_API_KEYS #1", role="member", prefix="con"
    )
    assert ring.find(b"short") == ApiKey(id=two, name="ALLOWED_API_KEYS #2", role="member", prefix="")


def test_the_id_of_a_configured_key_does_not_depend_on_its_position() -> None:
    def ids(*texts: str) -> list[str]:
        ring = KeyRing(SecretStr(text) for text in texts)
        found = [ring.find(text.encode()) for text in texts]
        return [key.id for key in found if key is not None]

    first, second = ids("first", "second")
    assert first != second
    assert ids("second") == [second]
    assert ids("second", "first") == [second, first]


@pytest.mark.parametrize("named", ["env-2", "ALLOWED_API_KEYS #2", configured_id("short")])
def test_a_policy_of_the_file_holds_for_a_configured_key(named: str) -> None:
    texts = [SecretStr("configured-key"), SecretStr("short")]
    ring = KeyRing(texts, policies={named: KeyPolicy(local_only=True)})
    found = [ring.find(text.get_secret_value().encode()) for text in texts]
    assert [key is not None and key.local_only for key in found] == [False, True]


@pytest.mark.parametrize(
    ("path", "key", "rest"),
    [
        ("/key/gw_x/api/chat", "gw_x", "/api/chat"),
        ("/key/a%2Fb/v1/models", "a/b", "/v1/models"),
        ("/key/gw_x", "gw_x", "/"),
        ("/key/gw_x/", "gw_x", "/"),
        ("/key/", None, "/key/"),
        ("/key//api/chat", None, "/key//api/chat"),
        ("/keys/gw_x/api", None, "/keys/gw_x/api"),
        ("/api/chat", None, "/api/chat"),
    ],
)
def test_splitting_a_path_with_a_key(path: str, key: str | None, rest: str) -> None:
    assert split_key_path(path) == (key, rest)


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/api/chat", "/api/chat"),
        ("/key/plain/api/chat", "/key/***/api/chat"),
        ("/KEY/plain/api", "/key/***/api"),
        ("//key//plain", "/key/***"),
        (f"/api/{KEY}/chat", "/api/***/chat"),
        ("/v1/models/monkey", "/v1/models/monkey"),
    ],
)
def test_a_key_in_a_path_is_never_shown(path: str, shown: str) -> None:
    assert redact_path(path) == shown


def test_the_ids_by_which_settings_name_configured_keys() -> None:
    ids = configured_ids([SecretStr("first"), SecretStr("second")])
    assert ids == {"env-1": configured_id("first"), "env-2": configured_id("second")}


@pytest.mark.parametrize(
    ("models", "providers", "asked", "allowed"),
    [
        ((), (), ["up"], True),
        ((), (), [], False),
        ((), (frozenset({"ant"}),), ["up"], False),
        ((), (frozenset({"ant"}),), ["up", "ant"], True),
        ((("m*",),), (), ["up"], True),
        ((("n*",),), (), ["up"], False),
        ((("up/*",),), (), ["up"], True),
        ((("up/*",),), (), ["ant"], False),
        ((("up/*",),), (frozenset({"ant"}),), ["up", "ant"], False),
    ],
)
def test_whether_a_key_may_use_a_model_that_nobody_lists(
    models: tuple[tuple[str, ...], ...],
    providers: tuple[frozenset[str], ...],
    asked: list[str],
    allowed: bool,
) -> None:
    key = ApiKey(id="k", name="k", role="member", prefix="gw_", models=models, providers=providers)
    assert key.may_name(["m1"], asked) is allowed


def test_a_stored_key_has_what_the_store_its_team_and_the_settings_say() -> None:
    team = StoredTeam(id="t", name="red", models=("M*",), providers=("up",), local_only=True)
    stored = record(
        KEY,
        "app",
        team_id="t",
        expires_at=500.0,
        models=("m1", "M2"),
        providers=("up", "ant"),
        priority="high",
        data_collection="deny",
        zdr=True,
    )
    ring = KeyRing(stored=[stored], teams=[StoredTeam(id="u", name="blue"), team])
    expected = ApiKey(
        id="id-app",
        name="app",
        role="member",
        prefix=KEY[:6],
        local_only=True,
        priority="high",
        team_id="t",
        team_name="red",
        expires_at=500.0,
        models=(("m1", "m2"), ("m*",)),
        providers=(frozenset({"up", "ant"}), frozenset({"up"})),
        defaults=RequestDefaults(routing={"data_collection": "deny", "zdr": True}),
    )
    assert ring.find(KEY.encode()) == expected
    policy = KeyPolicy(models=("X",), providers=("up",), priority="low", data_collection="allow", zdr=False)
    ring.reconfigure([], [stored], {"app": policy}, [team])
    assert ring.find(KEY.encode()) == msgspec.structs.replace(
        expected,
        priority="low",
        models=(*expected.models, ("x",)),
        providers=(*expected.providers, frozenset({"up"})),
        defaults=RequestDefaults(routing={"data_collection": "allow", "zdr": False}),
    )


@pytest.mark.parametrize(
    ("expires_at", "old_until", "accepted_until"),
    [(None, 100.0, 100.0), (50.0, 100.0, 50.0), (500.0, 100.0, 100.0)],
)
def test_the_key_before_a_rotation_is_accepted_for_a_while(
    expires_at: float | None, old_until: float, accepted_until: float
) -> None:
    old = sha256(b"old").hexdigest()
    stored = record(KEY, "app", expires_at=expires_at, old_hash=old, old_hash_until=old_until)
    ring = KeyRing(stored=[stored])
    before, now = ring.find(b"old"), ring.find(KEY.encode())
    assert before is not None
    assert now is not None
    assert (before.id, before.expires_at, now.expires_at) == ("id-app", accepted_until, expires_at)
    assert KeyRing(stored=[record(KEY, "app", old_hash=old)]).find(b"old") is None


@pytest.mark.parametrize(
    "before",
    [
        (b"x-api-key", b" "),
        (b"authorization", b"Bearer "),
        (b"authorization", b"Basic x"),
        (b"api-key", b"?"),
    ],
)
def test_a_header_without_a_valid_key_does_not_hide_the_one_after_it(before: tuple[bytes, bytes]) -> None:
    ring = KeyRing(stored=[record(KEY, "app")])
    found = authenticate([before, (b"x-api-key", KEY.encode())], ring, True)
    assert found is not None
    assert found.id == "id-app"


@pytest.mark.parametrize(
    ("expires_at", "key", "text"),
    [(1.0, KEY, "it has expired"), (None, "other", "it is unknown or was revoked"), (None, "", "Missing")],
)
@pytest.mark.parametrize("in_path", [True, False])
def test_why_a_key_is_refused(expires_at: float | None, key: str, text: str, in_path: bool) -> None:
    ring = KeyRing(stored=[record(KEY, "app", expires_at=expires_at)])
    headers = [] if in_path else [(b"x-api-key", key.encode())]
    with pytest.raises(CallerError, match=text) as caught:
        authenticate(headers, ring, True, key if in_path else None)
    assert caught.value.kind is INVALID_API_KEY
    assert authenticate(headers, ring, False, key if in_path else None) is None


LOCAL, CLOUD = FakeProvider("cellar", local=True), FakeProvider("up")


@pytest.mark.parametrize(
    ("fields", "reach", "use"),
    [
        (None, [True, True], [True, True]),
        ({}, [True, True], [True, True]),
        ({"local_only": True}, [True, False], [True, False]),
        ({"providers": (frozenset({"up"}),)}, [False, True], [False, True]),
        ({"providers": (frozenset({"up"}),), "local_only": True}, [False, False], [False, False]),
        ({"models": (("n",),)}, [True, True], [False, False]),
        ({"models": (("m",),)}, [True, True], [True, True]),
        ({"models": (("up/real",),)}, [True, True], [False, True]),
        ({"models": (("real",),), "local_only": True}, [True, False], [True, False]),
    ],
)
def test_what_a_caller_may_reach_and_use(
    fields: dict[str, Any] | None, reach: list[bool], use: list[bool]
) -> None:
    key = None if fields is None else ApiKey(id="k", name="k", role="member", prefix="gw_", **fields)
    assert [may_reach(key, each) for each in (LOCAL, CLOUD)] == reach
    assert [may_use(key, "m", each, "real") for each in (LOCAL, CLOUD)] == use

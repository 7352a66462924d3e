"""What each kind of key may have of each route, for all routes, methods and kinds of keys.

The table is made from the route table: a new route is in it. Judged by effects: what upstreams were sent, and
what the client was told.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, NamedTuple

import msgspec
import pytest

from tests.gateways import Running, make_settings, serving, upstream
from trunkline.ledger.policies import Policies, StoredKey
from trunkline.server.endpoints.route_table import make_route_table
from trunkline.server.http.routes import AsyncRoute, ErrorRoute, ModelRoute, Route
from trunkline.settings.sections import LimitRule, ResponsesRule
from trunkline_mock import MockUpstream, RecordedRequest

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
MARK: Final = "a-prompt-that-nobody-else-may-read"
DIGEST: Final = "sha256:" + hashlib.sha256(MARK.encode()).hexdigest()
SECRET: Final = "gw_" + "s" * 40
ADMIN_API: Final = (
    "/admin/v1/keys",
    "/admin/v1/teams",
    "/admin/v1/reload",
    "/admin/v1/usage",
    "/admin/v1/nothing",
)
"""Some paths of FastAPI's, which has a dependency of its own."""

_TABLE: Final = make_route_table(stores_responses=True)


class Kind(NamedTuple):
    """A kind of key."""

    name: str
    key: dict[str, Any] | None
    """Fields of the stored key; None: there is none."""


NONE = Kind("none", None)
UNKNOWN = Kind("unknown", None)
LIMITED = {"models": ("*cheap*",)}
ELSEWHERE = {"providers": ("custom",)}
KINDS: Final = (
    NONE,
    UNKNOWN,
    Kind("member", {}),
    Kind("reader", {"role": "read-only"}),
    Kind("admin", {"role": "admin"}),
    *(Kind(f"local {role}", {"role": role, "local_only": True}) for role in ("member", "admin")),
    *(Kind(f"spent {role}", {"role": role}) for role in ("member", "read-only", "admin")),
    *(Kind(f"cheap {role}", {"role": role, **LIMITED}) for role in ("member", "read-only", "admin")),
    *(Kind(f"elsewhere {role}", {"role": role, **ELSEWHERE}) for role in ("member", "admin")),
)


class Asked(NamedTuple):
    """One request of the table."""

    method: str
    path: str
    route: Route | None
    """What stands there; None if nothing does, or FastAPI's."""


def paths() -> Iterator[str]:
    """A path of every route."""
    table = _TABLE
    yield from table.own
    yield from ADMIN_API
    below = [*table.dialects, "/v1/files/file-1", "/v1/files/file-1/content"]
    for prefix in table.prefixes:
        values = {"/v1/models/": "dear", "/v1/providers/": "oai/models", "/api/blobs/": DIGEST}
        value = prefix + values.get(prefix, "some_id")
        below += [value, *(value + suffix for suffix in table.suffixes.get(prefix, ()))]
    for path in below:
        yield path
        yield f"/{'fleet' if '/api/' in path else 'anth' if '/messages' in path else 'oai'}{path}"


def test_every_pattern_has_a_path() -> None:
    for expression, _ in _TABLE.patterns:
        assert any(expression.fullmatch(path) for path in paths())


def table(running: Running) -> list[Asked]:
    """Every path with every method. Below a provider's name, only the methods that the path has."""
    find = running.gateway.routes.find
    every = [Asked(method, path, find(method, path)) for path in paths() for method in METHODS]
    return [each for each in every if not isinstance(each.route, ErrorRoute) or not is_pinned(each.path)]


def is_pinned(path: str) -> bool:
    """Whether a path begins with a provider's name."""
    return path.startswith(("/oai/", "/anth/", "/fleet/"))


def body_for(path: str, provider: str) -> bytes:
    """A body that asks for the model ``dear``, in the form of whoever stands at the path."""
    if "/api/blobs/" in path:
        return MARK.encode()
    model = "dear" if is_pinned(path) else f"{provider}/dear"
    fields: dict[str, Any] = {"model": model, "max_tokens": 5, "stream": False, "system": MARK}
    fields |= {"source": model, "destination": f"{model}-copy", "name": "x", "role": "member"}
    if path.endswith("/create"):
        fields["from"] = model
    if not path.endswith("/show"):
        fields |= {"messages": [{"role": "user", "content": MARK}], "prompt": MARK, "input": MARK}
    return msgspec.json.encode(fields)


class House(NamedTuple):
    """A gateway, and the upstreams behind it."""

    running: Running
    mocks: tuple[MockUpstream, ...]

    def calls(self) -> list[RecordedRequest]:
        return [call for mock in self.mocks for call in mock.calls]

    def forget(self) -> None:
        for mock in self.mocks:
            mock.calls.clear()


class Keys:
    """A store with one key."""

    def __init__(self, kind: Kind) -> None:
        fields = {"role": "member"} | (kind.key or {})
        digest = hashlib.sha256(SECRET.encode()).hexdigest()
        self.keys = (StoredKey(id="k", name=kind.name, prefix="gw_", hash=digest, **fields),)

    blocking = False

    def load(self) -> Policies:
        return Policies(keys=self.keys)

    def has_changed(self) -> bool:
        return False

    def close(self) -> None:
        pass


@asynccontextmanager
async def house(kind: Kind) -> AsyncIterator[House]:
    async with AsyncExitStack() as stack:
        models = ["cheap", "dear"]
        oai, anth, ollama = [
            await stack.enter_async_context(MockUpstream(shape, models=models))
            for shape in ("openai", "anthropic", "ollama")
        ]
        given: dict[str, Any] = {"ollama_enabled": False, "responses": ResponsesRule(store=True)}
        given["providers"] = {
            "oai": upstream(oai, type="openai-compatible", models=(), local=False),
            "anth": upstream(anth, models=(), local=False),
            "fleet": upstream(ollama, models=(), local=False),
        }
        if kind.name.startswith("spent"):
            given["limits"] = (LimitRule(key=kind.name, requests_per_day=1),)
        settings = make_settings(**given)
        running = await stack.enter_async_context(serving(settings, keys=Keys(kind)))
        await running.gateway.catalog.wait_until_discovered(30)
        found = House(running, (oai, anth, ollama))
        if kind.name.startswith("spent"):
            key = running.gateway.key_ring.find(SECRET.encode())
            running.gateway.guard.admit_look(key)
        found.forget()
        yield found


class Told(NamedTuple):
    """What became of one request of the table."""

    asked: Asked
    status: int
    text: str
    calls: list[RecordedRequest]


async def ask_all(house: House, kind: Kind, requests: list[Asked]) -> list[Told]:
    told, wire = [], await house.running.connect()
    for asked in requests:
        provider = "fleet" if "/api/" in asked.path else "anth" if "/messages" in asked.path else "oai"
        path = f"{asked.path}?model=oai/dear" if asked.path.endswith("/explain") else asked.path
        body = body_for(asked.path, provider)
        key = {"none": b"", "unknown": b"x-api-key: gw_nobody\r\n"}.get(
            kind.name, f"x-api-key: {SECRET}\r\n".encode()
        )
        if asked.method in ("GET", "HEAD", "OPTIONS"):
            body = b""
        head = f"{asked.method} {path} HTTP/1.1\r\nHost: test\r\nContent-Length: {len(body)}\r\n".encode()
        wire.send(head + b"content-type: application/json\r\n" + key + b"\r\n" + body)
        answer = await wire.answer(head_only=asked.method == "HEAD")
        if answer.headers.get("connection") == "close":
            wire = await house.running.connect()
        told.append(Told(asked, answer.status, answer.body.decode(), list(house.calls())))
        house.forget()
    return told


def is_public(asked: Asked) -> bool:
    return asked.route is not None and not asked.route.requires_key


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
async def test_the_table(kind: Kind) -> None:
    async with house(kind) as found:
        requests = table(found.running)
        told = await ask_all(found, kind, requests)
    for each in told:
        problem = complaint(kind, each)
        assert problem is None, (
            kind.name,
            each.asked.method,
            each.asked.path,
            each.status,
            each.text,
            problem,
        )


def complaint(kind: Kind, told: Told) -> str | None:
    """What is wrong with what became of a request, if anything is."""
    asked, role = told.asked, (kind.key or {}).get("role", "member")
    content = [call for call in told.calls if MARK.encode() in call.body]
    dear = [call for call in told.calls if b"dear" in call.body]
    ok = told.status < 400
    if told.status >= 500 and not (role == "admin" and asked.path.startswith("/admin")):
        return "a server error"  # the admin API has no database here
    if kind.key is None:
        if told.calls or (ok and not is_public(asked)):
            return "somebody without a key gets an answer"
        return "a model is named" if "dear" in told.text and told.status < 400 else None
    if role != "admin" and ok and isinstance(asked.route, AsyncRoute) and asked.route.access == "manages":
        return "who is no admin manages models"
    if role != "admin" and ok and asked.path.startswith("/admin"):
        return "who is no admin uses the admin API"
    if role == "read-only" and content:
        return "a key that may only read sends a prompt"
    first = kind.name.split()[0]
    if first in ("local", "spent", "elsewhere") and told.calls:
        return "upstreams are asked"
    if first == "cheap" and dear:
        return "an upstream is asked for the model"
    if first in ("local", "cheap", "elsewhere") and ok and "dear" in told.text:
        return "the client is told of the model"
    return None


async def test_without_limits_all_of_it_reaches_upstreams() -> None:
    """Otherwise the table above could not fail."""
    async with house(KINDS[4]) as found:
        requests = [each for each in table(found.running) if _asks(each.route)]
        told = await ask_all(found, KINDS[4], requests)
    for each in told:
        assert each.calls or each.asked.path.endswith("/health-check"), each


def _asks(route: Route | None) -> bool:
    return isinstance(route, ModelRoute) or (isinstance(route, AsyncRoute) and route.is_counted)

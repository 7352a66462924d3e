"""What is checked of a request is what its upstream is sent, whichever way that reads it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import msgspec
import pytest

from tests.gateways import Answer, Running, make_settings, post, serving, upstream
from trunkline.dialects.field_names import fold
from trunkline.ledger.policies import Policies, StoredKey
from trunkline.policy.guard import GuardedRequest
from trunkline.policy.reservations import Reservation
from trunkline.settings.sections import BudgetRule, Price
from trunkline_mock import MockUpstream

CHEAP = "gw_" + "c" * 40
CHAT = "/v1/chat/completions"
HELLO = '"messages":[{"role":"user","content":"Hello!"}]'


class Keys:
    """A store with a key that may use cheap models only."""

    blocking = False

    def load(self) -> Policies:
        digest = hashlib.sha256(CHEAP.encode()).hexdigest()
        key = StoredKey(id="c", name="cheap", role="member", prefix="gw_", hash=digest, models=("*cheap*",))
        return Policies(keys=(key,))

    def has_changed(self) -> bool:
        return False

    def close(self) -> None:
        pass


class House(NamedTuple):
    """A gateway, and the upstreams behind it by their providers' names."""

    running: Running
    mocks: dict[str, MockUpstream]

    async def ask(self, path: str, body: str | bytes, key: str = CHEAP) -> Answer:
        data = body.encode() if isinstance(body, str) else body
        return await self.running.ask(post(data, f"x-api-key: {key}\r\n".encode(), path=path))

    def sent(self) -> list[bytes]:
        return [call.body for mock in self.mocks.values() for call in mock.calls if call.inference]


@pytest.fixture
async def house() -> AsyncIterator[House]:
    models = ["cheap", "dear"]
    async with (
        MockUpstream("openai", models=models) as oai,
        MockUpstream("anthropic", models=models) as anth,
        MockUpstream("openrouter", models=models) as orouter,
        MockUpstream("ollama", models=models) as ollama,
    ):
        mocks = {"oai": oai, "anth": anth, "orouter": orouter, "fleet": ollama}
        types = {"oai": "openai-compatible"}
        settings = make_settings(
            providers={
                name: upstream(mock, models=tuple(models), **({"type": types[name]} if name in types else {}))
                for name, mock in mocks.items()
            }
        )
        async with serving(settings, keys=Keys()) as running:
            await running.gateway.catalog.wait_until_discovered(30)
            yield House(running, mocks)


def readings(body: bytes) -> dict[str, list[Any]]:
    """The values of each name at the top of a body, whichever way it is read."""
    found: dict[str, list[Any]] = {}
    pairs = json.loads(body, object_pairs_hook=tuple)
    for name, value in pairs:
        found.setdefault(fold(name), []).append(value)
    return found


SPELLINGS = ("Model", "MODEL", "mODEL", "model", "mode\\u006c", "\\u004dodel", "MODE\\u004C")


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("comes_first", [True, False])
@pytest.mark.parametrize(
    ("path", "rest"),
    [
        ("/oai/v1/chat/completions", HELLO),
        ("/oai/v1/completions", '"prompt":"Hello!"'),
        ("/oai/v1/embeddings", '"input":"Hello!"'),
        ("/oai/v1/responses", '"input":"Hello!"'),
        ("/oai/v1/moderations", '"input":"Hello!"'),
        ("/anth/v1/messages", '"max_tokens":9,' + HELLO),
        ("/anth/v1/messages/count_tokens", HELLO),
        ("/fleet/api/chat", HELLO),
        ("/fleet/api/generate", '"prompt":"Hello!"'),
        ("/fleet/api/embed", '"input":"Hello!"'),
        ("/fleet/api/embeddings", '"prompt":"Hello!"'),
        ("/fleet/api/show", '"verbose":false'),
    ],
)
async def test_two_models(house: House, path: str, rest: str, spelling: str, comes_first: bool) -> None:
    two = ['"model":"cheap"', f'"{spelling}":"dear"']
    body = "{" + ",".join([*(two[::-1] if comes_first else two), rest]) + "}"
    answer = await house.ask(path, body)
    calls = [call.body for mock in house.mocks.values() for call in mock.calls if b"Hello" in call.body]
    calls += [call.body for call in house.mocks["fleet"].calls if call.path == "/api/show"]
    assert answer.status < 500
    for sent in calls:
        assert readings(sent)["model"] == ["cheap"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, '{"model":"oai/cheap","max_tokens":1,"MAX_TOKENS":99999,%s}'),
        (CHAT, '{"model":"oai/cheap","max_completion_tokens":1,"max_completion_to\u212aens":99999,%s}'),
        (CHAT, '{"model":"oai/cheap","max_tokens":99999,"max_tokens":1,%s}'),
        (CHAT, '{"model":"oai/cheap","max_tokens":1,"N":9,%s}'),
        ("/v1/messages", '{"model":"anth/cheap","max_tokens":1,"MAX_TOKENS":99999,%s}'),
        ("/v1/messages", '{"model":"anth/cheap","max_to\u212aens":99999,"max_tokens":1,%s}'),
        (
            "/v1/responses",
            '{"model":"cheap","max_output_tokens":1,"MAX_OUTPUT_TOKENS":9999,"input":"x"}',
        ),
        (
            "/api/chat",
            '{"model":"fleet/cheap","options":{"num_predict":1},"option\u017f":{"num_predict":9999},%s}',
        ),
        (
            "/api/chat",
            '{"model":"fleet/cheap","option\\u017f":{"num_predict":9999},"options":{"num_predict":1},%s}',
        ),
        ("/fleet/api/chat", '{"model":"cheap","options":{"num_predict":9999,"num_predict":1},%s}'),
        (
            "/api/chat",
            '{"model":"fleet/cheap","options":{"num_predict":9999},"options":{"num_predict":1},%s}',
        ),
    ],
)
async def test_bounds(house: House, path: str, body: str) -> None:
    answer = await house.ask(path, body.replace("%s", HELLO))
    assert answer.status == 400 or house.sent()
    for sent in house.sent():
        assert b"9999" not in sent
        assert b'"N"' not in sent


async def test_messages_in_another_spelling(house: House) -> None:
    body = '{"model":"fleet/cheap","Messages":[{"Role":"user","Content":"Hello!"}],"stream":false}'
    answer = await house.ask("/api/chat", body)
    assert answer.status == 200
    (sent,) = house.sent()
    assert msgspec.json.decode(sent)["messages"] == [{"role": "user", "content": "Hello!"}]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ('"models":["cheap","dear"],"route":"fallback"', 403),
        ('"models":["cheap"],"route":"fallback"', 200),
        ('"models":["cheap","very-cheap"]', 200),
        ('"models":[{"model":"dear"}]', 403),
        ('"Models":["dear"]', 400),
        ('"models":["cheap"],"models":["dear"]', 403),
        ('"preset":"mine"', 403),
        ('"fallbacks":["dear"]', 403),
        ('"fallbacks":[{"model":"dear"}]', 403),
        ('"plugins":[{"id":"auto-router","allowed_models":["dear"]}]', 403),
        ('"plugins":[{"id":"web","max_results":2}]', 200),
    ],
)
async def test_other_models(house: House, more: str, status: int) -> None:
    body = f'{{"model":"cheap",{HELLO},{more}}}'
    answer = await house.ask("/orouter/v1/chat/completions", body)
    assert answer.status == status, answer.body
    assert len(house.sent()) == (status == 200)


FORM = '--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ncheap\r\n{}--b--\r\n'


@pytest.mark.parametrize(
    "head",
    [
        'Content-Disposition: form-data; name="model"',
        "content-disposition: form-data;name=model",
        'Content-Disposition: form-data; x=y; name="model"',
        "Content-Disposition: form-data; name*=utf-8''model",
        'Content-Disposition: form-data; name="Model"',
        'Content-Disposition: form-data;\r\n name="model"',
        'Content-Disposition: form-data; name="mod\\el"',
        'Content-Disposition : form-data; name="model"',
    ],
)
async def test_two_models_in_a_form(house: House, head: str) -> None:
    body = FORM.format(f"--b\r\n{head}\r\n\r\ndear\r\n")
    answer = await house.ask("/oai/v1/audio/transcriptions", body)
    assert answer.status == 400
    assert not [call for call in house.mocks["oai"].calls if b"dear" in call.body]


async def test_a_file_in_a_form(house: House) -> None:
    part = '--b\r\nContent-Disposition: form-data; name="file"; filename="model.wav"\r\n\r\nsound\r\n'
    answer = await house.ask("/oai/v1/audio/transcriptions", FORM.format(part))
    assert b"Unknown request URL" in answer.body  # the mock was asked, and has no such path


async def test_names_that_nobody_knows_go_on(house: House) -> None:
    body = f'{{ "model" : "oai/cheap", {HELLO}, "myKnob": 1, "MyKnob": 2 }}'
    assert (await house.ask(CHAT, body)).status == 200
    assert readings(house.sent()[0])["myknob"] == [1, 2]


async def test_a_dear_model_besides_is_reserved() -> None:
    async with MockUpstream("openrouter", models=["cheap", "dear"]) as mock:
        settings = make_settings(
            providers={"orouter": upstream(mock, models=("cheap", "dear"), local=False)},
            prices={"cheap": Price(input=1, output=1), "dear": Price(input=1, output=9000)},
            budgets=(BudgetRule(usd=0.1, per="total"),),
        )
        async with serving(settings) as running:
            own = House(running, {"orouter": mock})
            key = settings.api_keys[0].get_secret_value()
            body = f'{{"model":"cheap","max_tokens":100,{HELLO}%s}}'
            assert (await own.ask(CHAT, body % "", key)).status == 200
            answer = await own.ask(CHAT, body % ',"models":["cheap","dear"]', key)
            assert answer.status == 429
            assert len(own.sent()) == 1


@pytest.mark.parametrize(
    ("fields", "bound"),
    [
        ('"max_tokens":5', 5),
        ('"max_tokens":5,"n_predict":7', 7),
        ('"max_tokens":5,"n_predict":-1', 100),
        ('"num_predict":-2', 100),
        ('"max_tokens":-1', 100),
        ('"n_predict":6', 6),
        ('"max_tokens":5,"max_completion_tokens":8', 8),
    ],
)
async def test_the_largest_bound_is_reserved_and_there_is_one(fields: str, bound: int) -> None:
    async with MockUpstream("openai", models=["cheap"]) as mock:
        settings = make_settings(
            providers={"oai": upstream(mock, type="openai-compatible", models=("cheap",), local=False)},
            prices={"cheap": Price(input=0, output=1)},
            budgets=(BudgetRule(usd=1, per="total"),),
            budget_max_tokens=100,
        )
        async with serving(settings) as running:
            own = House(running, {"oai": mock})
            guard, reserved = running.gateway.guard, list[int]()
            admit = guard.admit

            def spy(request: GuardedRequest) -> Any:
                found = admit(request)
                if isinstance(found, Reservation):
                    reserved.append(found.completion_tokens)
                return found

            guard.admit = spy  # type: ignore[method-assign]
            key = settings.api_keys[0].get_secret_value()
            assert (await own.ask(CHAT, f'{{"model":"cheap",{fields},{HELLO}}}', key)).status == 200
            (sent,) = own.sent()
            names = ("max_tokens", "max_completion_tokens", "n_predict", "num_predict")
            bounds = [value for name, value in msgspec.json.decode(sent).items() if name in names]
            assert max(bounds) == bound
            assert min(bounds) > 0
            assert set(reserved) == {bound}

"""Traffic that never was: rows of the ledger with a spread as real gateways have it, any number of them.

Some keys, models and providers have most of the traffic; days and nights, weeks and weekends differ; some
attempts fail and are followed by another. A few names are all but unused, and one key was given up long ago:
what looks for them has to look far. The same numbers give the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import Any, Final, NamedTuple

from trunkline.ledger.usage_rows import RowIds, UsageRow

KEYS: Final = 200
TEAMS: Final = 10
MODELS: Final = 40
PROVIDERS: Final = ("openrouter", "openai", "cerebras", "ollama", "spare")
MODELS_OF_A_KEY: Final = 6
DAY_S: Final = 86_400
GIVEN_UP_DAYS: Final = 5
"""The last key was used on the first days only."""
_SHAPES: Final = 20_000
_RARE: Final = 1e-6
_STEP_S: Final = 600

Shape = tuple[dict[str, Any], ...]
"""The attempts of a request: their columns after the request's id."""


class World(NamedTuple):
    """Who asks for what."""

    keys: tuple[str, ...]
    teams: tuple[str, ...]
    models: tuple[str, ...]

    def team_of(self, key: int) -> str:
        """Its id; one key in fourteen has none, and the last team has one key."""
        if key == KEYS - 1:
            return self.teams[-1]
        return "" if key % 14 == 13 else self.teams[key % (TEAMS - 1)]


def make_world() -> World:
    """Names like those that the stores give."""
    some = random.Random(1)
    return World(
        tuple(f"{some.getrandbits(48):012x}" for _ in range(KEYS)),
        tuple(f"{some.getrandbits(48):012x}" for _ in range(TEAMS)),
        tuple(f"vendor-{at % 9}/model-{at}-instruct" for at in range(MODELS)),
    )


def days(
    world: World, rows: int, number: int, until_ms: int, *, even: bool = False
) -> Iterator[list[UsageRow]]:
    """Rows of each of ``number`` days, oldest first, some ``rows`` in all; the last day ends at ``until_ms``.

    ``even``: every key uses every model of every provider alike, which is the worst for the sums.
    """
    some = random.Random(2)
    ids = RowIds()
    usual = _Shapes(world, some, even=even)
    early = _Shapes(world, some, even=even, given_up=True)
    hours = [1.0 if even else 0.35 + (step % 144 in range(48, 114)) for step in range(DAY_S // _STEP_S)]
    weights = [1.0 if even or day % 7 < 5 else 0.4 for day in range(number)]
    share = rows / sum(weights) / usual.attempts
    for day, weight in enumerate(weights):
        begin = until_ms - (number - day) * DAY_S * 1000
        count = round(share * weight)
        steps = some.choices(range(len(hours)), hours, k=count)
        moments = sorted(begin + (step + some.random()) * _STEP_S * 1000 for step in steps)
        shapes = (early if day < GIVEN_UP_DAYS else usual).draw(count)
        made = []
        prefix = f"req_{some.getrandbits(64):016x}"
        for at, (moment, shape) in enumerate(zip(moments, shapes, strict=True)):
            ms = int(moment)
            # One client in five numbers its requests itself.
            name = f"{some.getrandbits(128):032x}" if at % 5 == 0 else f"{prefix}{at:08x}"
            made += [UsageRow(id=ids.next(ms), at=ms, request_id=name, **attempt) for attempt in shape]
        yield made


class _Shapes:
    """What requests look like, to draw from."""

    def __init__(self, world: World, some: random.Random, *, even: bool, given_up: bool = False) -> None:
        self._some = some
        self._shapes: list[Shape] = []
        weights: list[float] = []
        for key, model, provider, weight in _places(world, some, even=even):
            if key == KEYS - 1 and not given_up:
                continue
            several = max(1, min(40, round(weight * _SHAPES))) if not even else 1
            for _ in range(several):
                self._shapes.append(_shape(world, some, key, model, provider))
                weights.append(weight / several)
        self._sums = list(accumulate(weights))
        drawn = some.choices(self._shapes, cum_weights=self._sums, k=10_000)
        self.attempts = sum(map(len, drawn)) / len(drawn)

    def draw(self, count: int) -> list[Shape]:
        return self._some.choices(self._shapes, cum_weights=self._sums, k=count)


def _places(world: World, some: random.Random, *, even: bool) -> list[tuple[int, int, int, float]]:
    """Key, model, provider, and how often these come together."""
    rare = MODELS - 1
    if even:
        return [
            (key, model, model % len(PROVIDERS), 1.0 / KEYS / MODELS)
            for key in range(KEYS)
            for model in range(MODELS)
        ]
    found = []
    total = sum(1 / (key + 3) for key in range(KEYS))
    for key in range(KEYS):
        models = some.sample(range(rare), MODELS_OF_A_KEY)
        shares = [1 / (rank + 1) ** 1.2 for rank in range(len(models))]
        for model, share in zip(models, shares, strict=True):
            weight = share / sum(shares) / (key + 3) / total
            home = model % (len(PROVIDERS) - 1)
            found.append((key, model, home, weight * 0.9))
            found.append((key, model, (home + 1) % (len(PROVIDERS) - 1), weight * 0.1))
    found.append((0, rare, 0, _RARE))
    found.append((0, 0, len(PROVIDERS) - 1, _RARE))
    return found


def _shape(world: World, some: random.Random, key: int, model: int, provider: int) -> Shape:
    last = _attempt(world, some, key, model, provider, failed=some.random() < 0.02, number=1)
    if some.random() > 0.03:
        return (last,)
    other = (provider + 1) % (len(PROVIDERS) - 1) if provider < len(PROVIDERS) - 1 else provider
    first = _attempt(world, some, key, model, other, failed=True, number=1, last=False)
    return (first, _attempt(world, some, key, model, provider, failed=False, number=2))


def _attempt(
    world: World,
    some: random.Random,
    key: int,
    model: int,
    provider: int,
    *,
    failed: bool,
    number: int,
    last: bool = True,
) -> dict[str, Any]:
    prompt = 0 if failed else round(some.lognormvariate(6, 1.2))
    completion = 0 if failed else round(some.lognormvariate(5, 1))
    duration = some.lognormvariate(7, 0.8)
    name = world.models[model]
    return {
        "attempt": number,
        "last": last,
        "key_id": world.keys[key],
        "team_id": world.team_of(key),
        "end_user": f"user-{some.randrange(3000)}@example.org" if some.random() < 0.5 else None,
        "route": None,
        "provider": PROVIDERS[provider],
        "upstream": f"{PROVIDERS[provider]}-{some.randrange(3)}",
        "asked": name,
        "model": name,
        "dialect": "openai",
        "operation": "chat",
        "streamed": some.random() < 0.7,
        "status": 503 if failed else 200,
        "error": "upstream_failed" if failed else None,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cached_tokens": prompt // 3,
        "reasoning_tokens": 0,
        "estimated": some.random() < 0.05,
        "cost_micros": None if PROVIDERS[provider] == "ollama" else prompt * 2 + completion * 8,
        "cost_source": None if PROVIDERS[provider] == "ollama" else "table",
        "ttft_ms": None if failed else duration / 3,
        "duration_ms": duration,
        "upstream_ms": duration * 0.99,
        "queued_ms": 0.0,
        "retries": number - 1,
        "cached": False,
    }

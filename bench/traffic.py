"""Generates usage rows with a distribution like that of real gateways, any number of them.

A few keys, models and providers have most of the traffic. Days differ from nights, and weeks from weekends.
Some attempts fail and are followed by another one. Some names are hardly used, and one key has not been used
for a long time, so that a search for them has to read far back. The same arguments give the same rows.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

import msgspec

from trunkline.ledger.usage_rows import RowIds, UsageRow

KEYS: Final = 200
TEAMS: Final = 10
MODELS: Final = 40
PROVIDERS: Final = ("openrouter", "openai", "cerebras", "ollama", "spare")
MODELS_PER_KEY: Final = 6
DAY_S: Final = 86_400
LAST_KEY_DAYS: Final = 5
"""The number of days, from the first on, on which the last key was used."""
_SHAPES: Final = 20_000
_RARE_WEIGHT: Final = 1e-6
_STEP_S: Final = 600

Shape = tuple[UsageRow, ...]
"""The rows of a request's attempts, without ids and times."""


class World(NamedTuple):
    """The keys, teams and models that there are."""

    keys: tuple[str, ...]
    teams: tuple[str, ...]
    models: tuple[str, ...]

    def team_of(self, key: int) -> str:
        """Return the team's id of a key. One key in fourteen has no team, and the last team has one key."""
        if key == KEYS - 1:
            return self.teams[-1]
        return "" if key % 14 == 13 else self.teams[key % (TEAMS - 1)]


def make_world() -> World:
    """Make up ids and names that look like those in a store."""
    rng = random.Random(1)
    return World(
        tuple(f"{rng.getrandbits(48):012x}" for _ in range(KEYS)),
        tuple(f"{rng.getrandbits(48):012x}" for _ in range(TEAMS)),
        tuple(f"vendor-{number % 9}/model-{number}-instruct" for number in range(MODELS)),
    )


def generate_days(
    world: World, rows: int, days: int, until_ms: int, *, even: bool = False
) -> Iterator[list[UsageRow]]:
    """Generate the rows of several days, one day at a time, oldest first.

    Args:
        world: The keys, teams and models.
        rows: The approximate number of rows of all days.
        days: The number of days.
        until_ms: The Unix time at which the last day ends, in milliseconds.
        even: Every key uses every model equally. This needs the most roll-ups.
    """
    rng = random.Random(2)
    ids = RowIds()
    usual = _Shapes(world, rng, even=even)
    early = _Shapes(world, rng, even=even, with_last_key=True)
    steps = DAY_S // _STEP_S
    step_weights = [1.0 if even else 0.35 + (step % 144 in range(48, 114)) for step in range(steps)]
    day_weights = [1.0 if even or day % 7 < 5 else 0.4 for day in range(days)]
    requests_per_weight = rows / sum(day_weights) / usual.attempts
    for day, weight in enumerate(day_weights):
        begin = until_ms - (days - day) * DAY_S * 1000
        count = round(requests_per_weight * weight)
        drawn_steps = rng.choices(range(steps), step_weights, k=count)
        times = sorted(begin + (step + rng.random()) * _STEP_S * 1000 for step in drawn_steps)
        shapes = (early if day < LAST_KEY_DAYS else usual).draw(count)
        generated = []
        prefix = f"req_{rng.getrandbits(64):016x}"
        for number, (time_ms, shape) in enumerate(zip(times, shapes, strict=True)):
            ms = int(time_ms)
            # One client in five chooses the ids of its requests itself.
            request_id = f"{rng.getrandbits(128):032x}" if number % 5 == 0 else f"{prefix}{number:08x}"
            generated += [
                msgspec.structs.replace(attempt, id=ids.next(ms), at=ms, request_id=request_id)
                for attempt in shape
            ]
        yield generated


class _Shapes:
    """A weighted collection of requests to draw from."""

    def __init__(self, world: World, rng: random.Random, *, even: bool, with_last_key: bool = False) -> None:
        self._rng = rng
        self._shapes: list[Shape] = []
        weights: list[float] = []
        for key, model, provider, weight in _combinations(rng, even=even):
            if key == KEYS - 1 and not with_last_key:
                continue
            variants = max(1, min(40, round(weight * _SHAPES))) if not even else 1
            for _ in range(variants):
                self._shapes.append(_make_shape(world, rng, key, model, provider))
                weights.append(weight / variants)
        self._cumulative_weights = list(accumulate(weights))
        drawn = self.draw(10_000)
        self.attempts = sum(map(len, drawn)) / len(drawn)
        """The average number of attempts of a request."""

    def draw(self, count: int) -> list[Shape]:
        return self._rng.choices(self._shapes, cum_weights=self._cumulative_weights, k=count)


def _combinations(rng: random.Random, *, even: bool) -> list[tuple[int, int, int, float]]:
    """Choose which keys use which models of which providers, and how often."""
    rare_model = MODELS - 1
    if even:
        return [
            (key, model, model % len(PROVIDERS), 1.0 / KEYS / MODELS)
            for key in range(KEYS)
            for model in range(MODELS)
        ]
    combinations = []
    total = sum(1 / (key + 3) for key in range(KEYS))
    for key in range(KEYS):
        models = rng.sample(range(rare_model), MODELS_PER_KEY)
        shares = [1 / (rank + 1) ** 1.2 for rank in range(len(models))]
        for model, share in zip(models, shares, strict=True):
            weight = share / sum(shares) / (key + 3) / total
            provider = model % (len(PROVIDERS) - 1)
            combinations.append((key, model, provider, weight * 0.9))
            combinations.append((key, model, (provider + 1) % (len(PROVIDERS) - 1), weight * 0.1))
    combinations.append((0, rare_model, 0, _RARE_WEIGHT))
    combinations.append((0, 0, len(PROVIDERS) - 1, _RARE_WEIGHT))
    return combinations


def _make_shape(world: World, rng: random.Random, key: int, model: int, provider: int) -> Shape:
    only = _make_attempt(world, rng, key, model, provider, failed=rng.random() < 0.02, number=1)
    if rng.random() > 0.03:
        return (only,)
    other = (provider + 1) % (len(PROVIDERS) - 1) if provider < len(PROVIDERS) - 1 else provider
    first = _make_attempt(world, rng, key, model, other, failed=True, number=1, last=False)
    return (first, _make_attempt(world, rng, key, model, provider, failed=False, number=2))


def _make_attempt(
    world: World,
    rng: random.Random,
    key: int,
    model: int,
    provider: int,
    *,
    failed: bool,
    number: int,
    last: bool = True,
) -> UsageRow:
    prompt_tokens = 0 if failed else round(rng.lognormvariate(6, 1.2))
    completion_tokens = 0 if failed else round(rng.lognormvariate(5, 1))
    duration_ms = rng.lognormvariate(7, 0.8)
    is_priced = PROVIDERS[provider] != "ollama"
    return UsageRow(
        at=0,
        request_id="",
        attempt=number,
        last=last,
        key_id=world.keys[key],
        team_id=world.team_of(key),
        end_user=f"user-{rng.randrange(3000)}@example.org" if rng.random() < 0.5 else None,
        route=None,
        provider=PROVIDERS[provider],
        upstream=f"{PROVIDERS[provider]}-{rng.randrange(3)}",
        asked=world.models[model],
        model=world.models[model],
        dialect="openai",
        operation="chat",
        streamed=rng.random() < 0.7,
        status=503 if failed else 200,
        error="upstream_failed" if failed else None,
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        cached_tokens=prompt_tokens // 3,
        estimated=rng.random() < 0.05,
        cost_micros=prompt_tokens * 2 + completion_tokens * 8 if is_priced else None,
        cost_source="table" if is_priced else None,
        ttft_ms=None if failed else duration_ms / 3,
        duration_ms=duration_ms,
        upstream_ms=duration_ms * 0.99,
        retries=number - 1,
        cached=False,
    )

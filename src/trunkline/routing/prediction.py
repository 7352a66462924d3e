"""How long an Ollama server will take: what it has to do, what it must load, how fast it is with a model.

Learned from what its requests took; before anything was learned, from a model's size. A model that is loaded
does not make its server idle: both are counted. Times are handed in.
"""

from __future__ import annotations

from typing import Final

SERVICE_S: Final = 3.0
"""Seconds that a request is expected to take at a server and model of which nothing is known."""
LOAD_S: Final = 8.0
"""Seconds that loading takes, of a model of unknown size."""
BYTES_PER_S: Final = 1e9
"""How fast a model is expected to be loaded."""
DISPLACES: Final = 3.0
"""How many times its own duration a load counts: it also delays the requests behind it, and puts out a model
that will have to be loaded again. If it counted once, each load that looks cheap would cause the next one."""
_RATE: Final = 0.3
"""Weight of a new measurement."""


class Learned:
    """What requests for each model have taken, over a whole fleet; servers that are new begin with it."""

    __slots__ = ("loads", "services")

    def __init__(self) -> None:
        self.services: dict[str, float] = {}
        self.loads: dict[str, float] = {}


class PredictedRequest:
    """One request under way, as its server's outlook has it."""

    __slots__ = ("began", "cold", "expected", "model")

    def __init__(self, model: str, expected: float, cold: bool, began: float) -> None:
        self.model = model
        self.expected = expected
        self.cold = cold
        """The model had to be loaded."""
        self.began = began


class LatencyPredictor:
    """What one server is expected to be busy with."""

    __slots__ = (
        "_backlog",
        "_fleet",
        "_head_since",
        "_loading",
        "_loading_until",
        "_loads",
        "_running",
        "_services",
        "_slots",
    )

    def __init__(self, fleet: Learned, slots: int = 1) -> None:
        """``slots`` is how many requests it works on at once."""
        self._fleet = fleet
        self._slots = slots
        self._services: dict[str, float] = {}
        self._loads: dict[str, float] = {}
        self._backlog = 0.0
        self._running = 0
        self._head_since = 0.0
        self._loading: dict[str, int] = {}
        self._loading_until = 0.0

    def service(self, model: str) -> float:
        """Seconds that a request for the model takes here once it is loaded."""
        known = self._services.get(model)
        return known if known is not None else self._fleet.services.get(model, SERVICE_S)

    def load(self, model: str, size: int | None) -> float:
        """Seconds that loading the model takes here."""
        known = self._loads.get(model)
        if known is None:
            known = self._fleet.loads.get(model)
        if known is not None:
            return known
        return LOAD_S if size is None else 0.5 + size / BYTES_PER_S

    def wait(self, model: str, resident: bool, size: int | None, now: float) -> float:
        """Seconds until a request that is sent now is expected to be answered whole."""
        ahead = self._backlog
        if self._running:
            ahead -= min(now - self._head_since, self._backlog / self._running)
        expected = ahead / self._slots + max(0.0, self._loading_until - now) + self.service(model)
        if not resident and model not in self._loading:
            expected += DISPLACES * self.load(model, size)
        return expected

    def begin(self, model: str, resident: bool, size: int | None, now: float) -> PredictedRequest:
        """A request is sent."""
        cold = not resident and model not in self._loading
        predicted = PredictedRequest(model, self.service(model), cold, now)
        if cold:
            self._loading_until = max(now, self._loading_until) + self.load(model, size)
            self._loading[model] = 1
        if not self._running:
            self._head_since = now
        self._running += 1
        self._backlog += predicted.expected
        return predicted

    def end(self, predicted: PredictedRequest, well: bool, now: float) -> None:
        """It has ended; ``well``: what it took teaches something."""
        took = now - max(predicted.began, self._head_since)
        self._running -= 1
        self._backlog = max(0.0, self._backlog - predicted.expected) if self._running else 0.0
        self._head_since = now
        if predicted.cold:
            self._loading.pop(predicted.model, None)
            if not self._loading:
                self._loading_until = now
        if not well:
            return
        if predicted.cold:
            _learn(
                self._loads,
                self._fleet.loads,
                predicted.model,
                max(0.0, took - self.service(predicted.model)),
            )
        else:
            _learn(self._services, self._fleet.services, predicted.model, took)


def _learn(own: dict[str, float], fleet: dict[str, float], model: str, value: float) -> None:
    for known in (own, fleet):
        before = known.get(model)
        known[model] = value if before is None else before + _RATE * (value - before)

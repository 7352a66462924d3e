"""The latency predictor: how long an Ollama server will take to answer a request.

The prediction counts the requests that the server has to work on, the model that it must load, and how fast
it is with a model. Times are learned from the server's own requests; before there were any, the load time is
estimated from the model's size. A loaded model does not make its server idle, so both are counted. Current
times are passed in.
"""

from __future__ import annotations

from typing import Final

DEFAULT_SERVICE_S: Final = 3.0
"""The seconds that a request is expected to take before any was measured."""
DEFAULT_LOAD_S: Final = 8.0
"""The seconds that loading a model of unknown size is expected to take."""
LOAD_BYTES_PER_S: Final = 1e9
"""The speed at which a model is expected to be loaded."""
LOAD_PENALTY: Final = 3.0
"""The factor by which a model's load time counts in a prediction.

A load also delays the requests behind it, and evicts a model that will have to be loaded again. If it counted
once, each load that looks cheap would cause the next one.
"""
_SMOOTHING: Final = 0.3
"""The weight of a new measurement in the moving averages."""


class FleetAverages:
    """Moving averages over all servers of a fleet, by model; a new server's predictions begin with them."""

    __slots__ = ("load_s", "service_s")

    def __init__(self) -> None:
        self.service_s: dict[str, float] = {}
        """Seconds of a request whose model is loaded."""
        self.load_s: dict[str, float] = {}
        """Seconds of loading the model."""


class PredictedRequest:
    """A request in flight, as the predictor of its server counts it."""

    __slots__ = ("began", "cold", "expected", "model")

    def __init__(self, model: str, expected: float, cold: bool, began: float) -> None:
        self.model = model
        self.expected = expected
        """The seconds that it is expected to take once its model is loaded."""
        self.cold = cold
        """Whether the model had to be loaded for it."""
        self.began = began


class LatencyPredictor:
    """Predicts the latency of one server."""

    __slots__ = (
        "_backlog",
        "_fleet",
        "_head_since",
        "_load_s",
        "_loading",
        "_loading_until",
        "_running",
        "_service_s",
        "_slots",
    )

    def __init__(self, fleet: FleetAverages, slots: int = 1) -> None:
        """
        Args:
            fleet: the averages of the fleet that the server belongs to.
            slots: how many requests the server works on at once.
        """
        self._fleet = fleet
        self._slots = slots
        self._service_s: dict[str, float] = {}
        self._load_s: dict[str, float] = {}
        self._backlog = 0.0
        """The expected seconds of all requests in flight together."""
        self._running = 0
        """The number of requests in flight."""
        self._head_since = 0.0
        """When the server began with the request that is first in its line."""
        self._loading: set[str] = set()
        """The models that are being loaded."""
        self._loading_until = 0.0

    def service_time(self, model: str) -> float:
        """The seconds that a request for the model takes here once the model is loaded."""
        own = self._service_s.get(model)
        return own if own is not None else self._fleet.service_s.get(model, DEFAULT_SERVICE_S)

    def load_time(self, model: str, size: int | None) -> float:
        """The seconds that loading the model takes here.

        Args:
            model: the model's name.
            size: its size in bytes, if known; used while no load of the model was measured.
        """
        measured = self._load_s.get(model)
        if measured is None:
            measured = self._fleet.load_s.get(model)
        if measured is not None:
            return measured
        return DEFAULT_LOAD_S if size is None else 0.5 + size / LOAD_BYTES_PER_S

    def predict(self, model: str, resident: bool, size: int | None, now: float) -> float:
        """The seconds until the whole answer to a request that is sent now.

        Args:
            model: the model's name.
            resident: whether the model is loaded.
            size: its size in bytes, if known.
            now: the current time in seconds.
        """
        ahead = self._backlog
        if self._running:
            ahead -= min(now - self._head_since, self._backlog / self._running)
        expected = ahead / self._slots + max(0.0, self._loading_until - now) + self.service_time(model)
        if not resident and model not in self._loading:
            expected += LOAD_PENALTY * self.load_time(model, size)
        return expected

    def begin(self, model: str, resident: bool, size: int | None, now: float) -> PredictedRequest:
        """Count a request that is sent now; the arguments are those of :meth:`predict`."""
        cold = not resident and model not in self._loading
        predicted = PredictedRequest(model, self.service_time(model), cold, now)
        if cold:
            self._loading_until = max(now, self._loading_until) + self.load_time(model, size)
            self._loading.add(model)
        if not self._running:
            self._head_since = now
        self._running += 1
        self._backlog += predicted.expected
        return predicted

    def end(self, predicted: PredictedRequest, succeeded: bool, now: float) -> None:
        """Count a request as ended; one that succeeded updates the averages."""
        seconds = now - max(predicted.began, self._head_since)
        self._running -= 1
        self._backlog = max(0.0, self._backlog - predicted.expected) if self._running else 0.0
        self._head_since = now
        if predicted.cold:
            self._loading.discard(predicted.model)
            if not self._loading:
                self._loading_until = now
        if not succeeded:
            return
        if predicted.cold:
            load = max(0.0, seconds - self.service_time(predicted.model))
            _update_averages(self._load_s, self._fleet.load_s, predicted.model, load)
        else:
            _update_averages(self._service_s, self._fleet.service_s, predicted.model, seconds)


def _update_averages(own: dict[str, float], fleet: dict[str, float], model: str, value: float) -> None:
    for averages in (own, fleet):
        before = averages.get(model)
        averages[model] = value if before is None else before + _SMOOTHING * (value - before)

"""What one request has tried, what it may try again, and what it is told where nobody can be asked."""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from trunkline.errors import UPSTREAM_BUSY, GatewayError, ProviderError
from trunkline.routing.candidates import Candidate
from trunkline.routing.pools import CandidatePool

_NONE: Final[frozenset[str]] = frozenset()


class Tries:
    """Which candidates one request has tried, and what may be tried again."""

    __slots__ = ("barred", "failed", "failure", "pauses", "refused", "repeatable", "untold")

    def __init__(self, barred: Set[str] = _NONE) -> None:
        self.refused = barred
        """Keys of the candidates that the request's key may not ask."""
        self.failed: Candidate | None = None
        """The candidate that has failed last."""
        self.failure: GatewayError | None = None
        """The last failure."""
        self.untold: GatewayError | None = None
        """The same, until another upstream is asked after it or a pause begins."""
        self.barred: set[str] = set(barred)
        """Keys of the candidates that are not to be asked (again)."""
        self.repeatable: dict[str, GatewayError] = {}
        """Those of them that may be asked again after a pause, with the failure of each."""
        self.pauses = 0
        """How many pauses there were."""


def max_retries(candidate: Candidate, failure: GatewayError) -> int:
    """How often the candidate may be asked again after such a failure."""
    most = candidate.provider.max_retries
    return min(most, 1) if failure.kind.once else most


def all_resting(pool: CandidatePool, now: float, refused: Set[str]) -> GatewayError:
    """Why no candidate can be asked now: what is known of the one that may be asked again soonest.

    It is told to callers who have had no part in that failure, so nothing of its text is in it.
    """
    allowed = [candidate for candidate in pool if candidate.key not in refused] or list(pool)
    soonest = min(allowed, key=lambda candidate: candidate.seconds_until_allowed(now))
    wait = max(1.0, soonest.seconds_until_allowed(now))
    who, model = soonest.provider.name, soonest.model
    last = soonest.state.last_failure(now, model)
    if last is None:
        text = f"Provider '{who}' cannot be asked now; try again in {wait:.0f} s"
        return ProviderError(text, UPSTREAM_BUSY, provider=who, retry_after=wait)
    what = f"Provider '{who}'" if last.scope != "model" else f"Model '{model}' of provider '{who}'"
    text = f"{what} failed with {last} and is not asked again for {wait:.0f} s"
    return ProviderError(text, last.kind, provider=who, status=last.status, code=last.code, retry_after=wait)

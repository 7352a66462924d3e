"""What an attempt used, and what that costs."""

from __future__ import annotations

from typing import Final

from trunkline.model import Usage
from trunkline.pipeline.attempt import Attempt
from trunkline.policy.estimates import USUAL_BYTES, used
from trunkline.policy.prices import FREE, PriceBook, reported
from trunkline.policy.reservations import NOTHING, Charge

_FREE: Final = Charge(Usage(), False, 0, FREE.source)
_UNKNOWN: Final = Charge(Usage(), False, None, None)


def charge_of(attempt: Attempt, prices: PriceBook) -> Charge:
    """The charge of an attempt that has ended.

    An upstream that failed before it answered charges nothing. One that was working when its client
    disconnected may charge what it had done by then.
    """
    candidate, exchange, response = attempt.candidate, attempt.exchange, attempt.response
    request = response.request
    if request.front.operation == "other":  # images and audio: their price elsewhere is not known
        free = prices.rates_of(candidate.provider, candidate.model, countable=False)
        return _UNKNOWN if free is None else _FREE
    usage, estimated = exchange.usage, False
    if usage is None and response.first_byte_at is None and not attempt.abandoned:
        return NOTHING
    whole = exchange.complete or not exchange.streaming
    if usage is None or not whole:
        pieces = exchange.pieces if exchange.streaming else response.size // USUAL_BYTES
        if request.front.operation == "embeddings":
            pieces = 0
        usage, estimated = used(usage, request.body, pieces, whole=whole)
    cost, source = None, None
    if usage.cost is not None:
        cost, source = reported(usage.cost), "upstream"
    elif (rates := prices.rates(candidate.provider, candidate.model)) is not None:
        cost, source = rates.cost(usage), rates.source
    return Charge(usage, estimated, cost, source, candidate.provider.name)

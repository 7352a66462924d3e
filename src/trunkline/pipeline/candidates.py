"""Which candidates of its model a request may use, by its key and by what it refers to."""

from __future__ import annotations

from collections.abc import Sequence, Set

from trunkline.dialects.base import Front, RequestSummary
from trunkline.errors import MODEL_NOT_ALLOWED, CallerError, redact
from trunkline.pipeline.request import Request
from trunkline.policy.auth import may_use
from trunkline.routing.pools import CandidatePool
from trunkline.routing.router import Router


def check_may_name(router: Router, request: Request, summary: RequestSummary) -> None:
    """Refuse a model that no provider lists and that the request's key could not use either.

    Raises:
        CallerError: 403, as if a provider listed it: such a key is not told what there is.
    """
    key, name = request.key, summary.model
    if key is None or name is None or not key.restricted:
        return
    providers = router.providers.values()
    searched = [each.name for each in providers if not each.answers_any_name]
    if not key.may_name((name, router.resolver.without_alias(name)), searched or ["custom"]):
        raise CallerError(f"This key may not use model '{redact(name)}'", MODEL_NOT_ALLOWED, param="model")


def allowing_others(
    router: Router, request: Request, summary: RequestSummary, pool: CandidatePool
) -> CandidatePool:
    """The candidates whose providers may use all models that a request names besides its own.

    Raises:
        CallerError: 403, there is none.
    """
    key, allows = request.key, router.catalog.allows
    refused, allowed = "", set[str]()
    for candidate in pool:
        for name in summary.other_models:
            if not allows(name) or not may_use(key, name, candidate.provider, name):
                refused = name
                break
        else:
            allowed.add(candidate.key)
    if not allowed:
        text = f"This key may not use model '{redact(refused)}', which the request names besides its own"
        raise CallerError(text, MODEL_NOT_ALLOWED, param="models")
    return pool.narrowed(allowed)


def holders(pool: CandidatePool, front: Front, state: Sequence[str]) -> Set[str]:
    """Keys of the candidates that have those state fields of a request which no other can do without."""
    needed = frozenset(state) - front.emulates
    return {each.key for each in pool if needed <= each.provider.holds(front.dialect)}

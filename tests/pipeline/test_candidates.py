"""The candidates of a request, without those that its key may not ask."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.pipeline.requests import make_request
from tests.routing.fakes import Fake, make_router
from trunkline.dialects.base import RequestSummary
from trunkline.errors import MODEL_NOT_ALLOWED, CallerError
from trunkline.pipeline.candidates import allowing_others
from trunkline.policy.auth import ApiKey
from trunkline.policy.filters import ModelFilter

KEY = ApiKey(id="k", name="k", role="member", prefix="gw_")


@pytest.mark.parametrize(
    ("others", "key", "found"),
    [
        ((), KEY, ["ollama", "cloud"]),
        (("n", "o"), None, ["ollama", "cloud"]),
        (("n", "o"), KEY, ["ollama", "cloud"]),
        (("n",), msgspec.structs.replace(KEY, models=(("m", "n"),)), ["ollama", "cloud"]),
        (("n",), msgspec.structs.replace(KEY, models=(("m", "cloud/n"),)), ["cloud"]),
        (("n",), msgspec.structs.replace(KEY, providers=(frozenset({"ollama"}),)), ["ollama"]),
        (("n",), msgspec.structs.replace(KEY, local_only=True), ["ollama"]),
        (("n", "o"), msgspec.structs.replace(KEY, models=(("m", "n"),)), "o"),
        (("o", "n"), msgspec.structs.replace(KEY, models=(("m", "n"),)), "o"),
        (("hidden",), None, "hidden"),  # by the models filter
        (("n", "hidden"), KEY, "hidden"),
    ],
)
async def test_all_models_that_a_request_names_must_be_allowed(
    others: tuple[str, ...], key: ApiKey | None, found: list[str] | str
) -> None:
    allows = ModelFilter.parse("!hidden", "f").allows
    router = await make_router(Fake("ollama", ["m"]), Fake("cloud", ["m"]), preferred="ollama", allows=allows)
    pool = router.pool("m", "chat")
    request: Any = make_request(b"{}", key=key)
    summary = RequestSummary(model="m", stream=False, other_models=others)
    if isinstance(found, list):
        allowed = allowing_others(router, request, summary, pool)
        assert [each.provider.name for each in allowed] == found
        return
    with pytest.raises(CallerError) as caught:
        allowing_others(router, request, summary, pool)
    error = caught.value
    assert (error.kind, error.param) == (MODEL_NOT_ALLOWED, "models")
    assert error.message == f"This key may not use model '{found}', which the request names besides its own"

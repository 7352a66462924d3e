"""The dialects that clients speak: how each feature is asked for, and what an answer says."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from tests.fidelity.fronts import anthropic, ollama, openai, responses
from tests.fidelity.values import Heard
from tests.gateways import Answer


class Front(Protocol):
    """What each of the modules has."""

    @property
    def PATH(self) -> str: ...  # noqa: N802 - a module's constant

    @property
    def ASKS(self) -> dict[str, dict[str, Any]]: ...  # noqa: N802 - a module's constant

    def base(self, model: str, stream: bool) -> dict[str, Any]: ...

    def hear(self, answer: Answer, stream: bool) -> Heard: ...

    def complaint(self, answer: Answer) -> str: ...


FRONTS: Final[Mapping[str, Front]] = {
    "openai": openai,
    "responses": responses,
    "anthropic": anthropic,
    "ollama": ollama,
}

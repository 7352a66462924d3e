"""The dialects that upstreams speak: what a request tells them, and their answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from tests.fidelity.backs import anthropic, ollama, openai, responses
from tests.fidelity.values import Turn
from trunkline_mock import Script


class Back(Protocol):
    """What each of the modules has."""

    @property
    def SHAPE(self) -> str: ...  # noqa: N802 - a module's constant

    @property
    def TYPE(self) -> str: ...  # noqa: N802 - a module's constant

    @property
    def MODEL(self) -> str: ...  # noqa: N802 - a module's constant

    @property
    def SETTINGS(self) -> Mapping[str, Any]: ...  # noqa: N802 - likewise

    @property
    def SENT(self) -> Mapping[str, Callable[[dict[str, Any]], Any]]: ...  # noqa: N802 - likewise

    def conversation(self, body: dict[str, Any]) -> list[Turn]: ...

    def tools(self, body: dict[str, Any]) -> list[Turn]: ...

    def script(self, feature: str, stream: bool) -> Script | None: ...


BACKS: Final[Mapping[str, Back]] = {
    "openai": openai,
    "responses": responses,
    "anthropic": anthropic,
    "ollama": ollama,
}

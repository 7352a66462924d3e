"""What is said in the matrix's conversations, and what clients hear: values of no dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from trunkline_mock.shapes.anthropic.write import sign_thinking

Turn: TypeAlias = tuple[Any, ...]
"""One piece of a conversation: its kind, and what it says."""

HELLO: Final = "Hello!"
ANSWER: Final = "Good day to you."
SYSTEM: Final = "Be brief."
FIRST: Final = ("What is the capital of Italy?", "Rome.", "And of France?")
LOOK: Final = "What is this?"
PIXEL: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
"""A PNG of one pixel, base64."""
PIXEL_URL: Final = f"data:image/png;base64,{PIXEL}"
PICTURE: Final = "https://pictures.example/cat.png"

SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Final = ("get_weather", "The weather of a city.", SCHEMA)
TIME: Final = ("get_time", "The time in a city.", SCHEMA)
ROME: Final = {"city": "Rome"}
OSLO: Final = {"city": "Oslo"}
CALL_IDS: Final = ("call_rome0001", "call_oslo0002")
RESULTS: Final = ("Sunny", "Noon")
BROKEN: Final = "The station does not answer"

THOUGHT: Final = "They greet me, so I greet them."
SIGNATURE: Final = sign_thinking(THOUGHT)
"""The mock looks at it."""
BUDGET: Final = 5000

STOP: Final = "END"
SEED: Final = 42
BOUND: Final = 77
TEMPERATURE: Final = 0.5
HOT: Final = 1.5
TOP_P: Final = 0.9
TOP_K: Final = 40
PENALTIES: Final = (0.5, 0.25)
USER: Final = "user-7"
LOGPROBS: Final = (("Good", -0.25), (" day", -0.5))
UNKNOWN: Final = {"keep": ["me", 1]}
UNKNOWN_FIELD: Final = "context_management"
"""A field that the gateway knows in no dialect; Anthropic's servers take it with a header (`BETA`)."""
BETA: Final = b"anthropic-beta: context-management-2025-06-27\r\n"
WORLD: Final = "Grüße, 世界! 👩‍🚀 ¡Olé!"
COUNTS: Final = {"prompt": 11, "completion": 7, "cached": 5, "reasoning": 3}
COMPLAINT: Final = "model 'mystery' not found"
"""What every error says; by these words Ollama tells a missing model from a wrong address."""
WAIT: Final = 7


@dataclass
class Heard:
    """What a client got, whole or put together from a stream."""

    texts: tuple[str, ...] = ()
    """Of each answer."""
    thinking: str = ""
    signature: str | None = None
    calls: tuple[tuple[str, Any], ...] = ()
    """Name and arguments."""
    call_ids: tuple[str, ...] = ()
    pieces: int = 0
    """In how many events the arguments came."""
    reason: str | None = None
    """Why the answer ended, in OpenAI's words."""
    stop_sequence: str | None = None
    usage: dict[str, int | None] = field(default_factory=dict)
    """By the names of ``COUNTS``."""
    logprobs: tuple[tuple[str, float], ...] = ()
    model: str | None = None
    unknown: Any = None
    status: int = 200
    error: str | None = None
    """Its text, wherever in the answer it stood."""
    retry_after: str | None = None


def number(turns: list[Turn]) -> list[Turn]:
    """``turns`` with the ids of calls replaced by the calls' places."""
    ids = [turn[1] for turn in turns if turn[0] == "call"]
    assert len(set(ids)) == len(ids), ids
    return [
        (turn[0], ids.index(turn[1]), *turn[2:]) if turn[0].startswith(("call", "result")) else turn
        for turn in turns
    ]

"""The matrix as it ought to be: features, and what becomes of each between two dialects.

Derived from the vendors' API references, not from what the code does. A feature is kept unless a row says
otherwise, and a row may say otherwise only where the other side has no field for the thing: ``lacks`` names
the fronts whose dialect has no such thing, ``silent`` the backs that never say it (both are no cells of the
matrix: there is nothing to keep), ``losses`` what the remaining backs have no field for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, NamedTuple, TypeAlias

Kind: TypeAlias = Literal["kept", "approximated", "dropped", "refused", "-"]
Key: TypeAlias = tuple[str, str, str]
"""Front, back, feature."""

FRONTS: Final = ("openai", "responses", "anthropic", "ollama")
BACKS: Final = ("openai", "responses", "anthropic", "ollama")


class Cell(NamedTuple):
    """What becomes of one feature between one front and one back."""

    kind: Kind
    note: str = ""
    """How, or why."""


KEPT: Final = Cell("kept")


class Row(NamedTuple):
    """One feature."""

    name: str
    title: str
    lacks: Mapping[str, str] = {}
    """Fronts that have no field for it, and what is so."""
    silent: Mapping[str, str] = {}
    """Backs that never say it, and what is so."""
    losses: Mapping[str, Cell | Mapping[str, Cell]] = {}
    """Backs that have no field for it: for all fronts, or by front."""

    def cell(self, front: str, back: str) -> Cell:
        """What is expected of it there."""
        if front in self.lacks:
            return Cell("-", _because("no such field in front", self.lacks[front]))
        if back in self.silent:
            return Cell("-", _because("nothing to keep", self.silent[back]))
        loss = self.losses.get(back, KEPT)
        return loss if isinstance(loss, Cell) else loss.get(front, KEPT)


def _because(what: str, why: str) -> str:
    return f"{what}: {why}" if why else what


def about(note: str) -> Cell:
    """Said in another way, which is not quite the same."""
    return Cell("approximated", note)


def dropped(note: str) -> Cell:
    """A knob that is left out."""
    return Cell("dropped", note)


def refused(note: str) -> Cell:
    """Content, or a promise about the answer, that cannot be sent: a 400."""
    return Cell("refused", note)


_R, _A, _L = "responses", "anthropic", "ollama"

_NO_CHOICE: Final = {_L: "Ollama's requests have no tool choice"}
_NO_COUNTS: Final = {_L: "Ollama's answers count prompt and answer only"}
_STRANGE: Final = "an unknown field of one dialect means nothing in another"
_UNHEARD: Final = refused("OpenAI refuses a field that it does not know, and so does the gateway")
_EDITS: Final = dropped("the answer tells that no edit of the context was applied")
_NO_KNOB: Final = dropped("OpenAI's Responses API has no such field")
_OWN_ONLY: Final = dropped("only what the upstream has sent itself goes back, encrypted or in plain text")
_NO_HISTORY: Final = dropped("OpenAI's messages have no field for earlier thinking")


GROUPS: Final[Mapping[str, tuple[Row, ...]]] = {
    "What is said": (
        Row("text", "Text"),
        Row("system", "System prompt"),
        Row("multi_turn", "Several turns"),
        Row("image_data", "Images by data"),
        Row(
            "image_url",
            "Images by URL",
            lacks={_L: "Ollama's images are base64"},
            losses={_L: refused("Ollama takes base64 only; `FETCH_IMAGE_URLS` has them fetched")},
        ),
    ),
    "Tools": (
        Row("tool", "A tool, and a call of it"),
        Row("parallel_tools", "Several calls at once"),
        Row("tool_ids", "Ids of calls"),
        Row("tool_text", "Text beside a call"),
        Row(
            "tool_deltas",
            "Arguments in pieces",
            lacks={_L: "Ollama's calls come whole"},
            silent={_L: "Ollama's calls come whole"},
        ),
        Row("tool_results", "Tool results"),
        Row(
            "tool_errors",
            "Tool results that are errors",
            lacks=dict.fromkeys(("openai", _R, _L), "a result is its content only"),
            losses=dict.fromkeys(
                ("openai", _R, _L), about("no field for it: the result's text begins with `Error:`")
            ),
        ),
        Row(
            "tool_images",
            "Images in tool results",
            lacks={"openai": "a tool's message holds text only"},
            losses={"openai": about("a tool's message holds text only: a user's message brings the images")},
        ),
        Row(
            "tool_choice_auto",
            "Tool choice: auto",
            lacks=_NO_CHOICE,
            losses={_L: Cell("kept", "nothing is said: it is all that Ollama does")},
        ),
        Row(
            "tool_choice_required",
            "Tool choice: required",
            lacks=_NO_CHOICE,
            losses={_L: about("Ollama has no tool choice: the model may call, and need not")},
        ),
        Row(
            "tool_choice_named",
            "Tool choice: one by name",
            lacks=_NO_CHOICE,
            losses={_L: about("Ollama has no tool choice: no other tool is offered")},
        ),
        Row(
            "tool_choice_none",
            "Tool choice: none",
            lacks=_NO_CHOICE,
            losses={_L: Cell("kept", "no tool is offered, which is the same by OpenAI's reference")},
        ),
        Row(
            "parallel_off",
            "One call at a time",
            lacks={_L: ""},
            losses={_L: dropped("Ollama has no such switch")},
        ),
    ),
    "Thinking": (
        Row(
            "thinking_on",
            "Asked for, no level said",
            lacks=dict.fromkeys(("openai", _R), "a level is always said"),
            losses={
                "openai": {
                    _A: dropped("levels only, and none was said: the model's own default"),
                    _L: about("levels only: medium"),
                },
                _R: {
                    _A: Cell("kept", "a summary is asked for, and no level is named"),
                    _L: about("levels only: medium"),
                },
                _L: {
                    _A: Cell("kept", "nothing is said: Ollama's models that can think do, unless told not to")
                },
            },
        ),
        Row("thinking_effort", "Asked for by level"),
        Row(
            "thinking_budget",
            "Asked for by tokens",
            lacks=dict.fromkeys(("openai", _R, _L), "levels only"),
            losses=dict.fromkeys(("openai", _R, _L), about("levels only: the nearest one")),
        ),
        Row("thinking_off", "Switched off"),
        Row("thinking_answer", "In the answer"),
        Row(
            "thinking_turns",
            "Of earlier turns",
            losses={
                "openai": dict.fromkeys((_R, _A, _L), _NO_HISTORY),
                _R: _OWN_ONLY,
                _A: {
                    _L: dropped(
                        "Anthropic takes thinking only as it signed it, and Ollama's has no signature"
                    )
                },
            },
        ),
        Row(
            "thinking_signature",
            "Its signature",
            lacks={_L: "Ollama's thinking is text only"},
            silent=dict.fromkeys(("openai", _R, _L), "only Anthropic signs"),
        ),
    ),
    "Form of the answer": (
        Row(
            "json_mode",
            "Any JSON",
            lacks={_A: "schemas only"},
            losses={
                _A: about(
                    "Anthropic has schemas only, and no schema was given: the model is told to answer with"
                    " JSON, and what it writes around it is left out"
                )
            },
        ),
        Row("json_schema", "JSON of a schema"),
    ),
    "Sampling": (
        Row("max_tokens", "Bound on the answer"),
        Row(
            "stop",
            "Stop sequences",
            lacks={_R: ""},
            losses={_R: Cell("kept", "no field for them: the gateway cuts the answer at the first one")},
        ),
        Row(
            "seed",
            "Seed",
            lacks=dict.fromkeys((_R, _A), ""),
            losses={_A: dropped("Anthropic has no seed"), _R: _NO_KNOB},
        ),
        Row("temperature", "Temperature up to 1"),
        Row(
            "temperature_high",
            "Temperature above 1",
            lacks={_A: "temperatures end at 1"},
            losses={_A: about("Anthropic's temperatures end at 1: 1 is sent")},
        ),
        Row("top_p", "`top_p`"),
        Row("top_k", "`top_k`", lacks={_R: ""}, losses={_R: _NO_KNOB}),
        Row(
            "penalties",
            "Presence and frequency penalties",
            lacks=dict.fromkeys((_R, _A), ""),
            losses={_A: dropped("Anthropic has no penalties"), _R: _NO_KNOB},
        ),
        Row(
            "logprobs",
            "Log probabilities",
            lacks={_A: ""},
            losses={_A: dropped("Anthropic has no log probabilities")},
        ),
        Row(
            "n",
            "Several answers",
            lacks=dict.fromkeys((_R, _A, _L), "one answer a request"),
            losses=dict.fromkeys((_R, _A, _L), refused("one answer a request is all that it gives")),
        ),
    ),
    "Accounts": (
        Row(
            "user",
            "The end user's id",
            lacks={_L: ""},
            losses={_L: dropped("Ollama has no such field")},
        ),
        Row("usage", "Tokens of prompt and answer"),
        Row("usage_cached", "Cached tokens", lacks=_NO_COUNTS, silent=_NO_COUNTS),
        Row("usage_reasoning", "Thinking's tokens", lacks=_NO_COUNTS, silent=_NO_COUNTS),
    ),
    "Why it ended": (
        Row("finish_stop", "Finished: the model was done"),
        Row(
            "finish_stop_sequence",
            "Finished: which stop sequence",
            lacks=dict.fromkeys(("openai", _R, _L), "the dialect does not say which"),
            silent=dict.fromkeys(("openai", _L), "the dialect does not say which"),
        ),
        Row("finish_length", "Finished: the bound was reached"),
        Row("finish_tool_calls", "Finished: tools are called"),
        Row(
            "finish_content_filter",
            "Finished: refused or filtered",
            lacks={_L: "`done_reason` is `stop` or `length`"},
            silent={_L: "`done_reason` is `stop` or `length`"},
        ),
    ),
    "Errors": (
        Row("error_request", "Before the first byte: a bad request"),
        Row("error_model", "Before the first byte: a model that is not there"),
        Row("error_limit", "Before the first byte: a rate limit"),
        Row("error_server", "Before the first byte: a failure"),
        Row("error_after", "After the first byte"),
    ),
    "Edges": (
        Row("model", "The name of the model that answered"),
        Row("empty", "An empty answer"),
        Row("unicode", "Characters cut by chunks"),
        Row(
            "unknown",
            "Unknown fields",
            losses={
                "openai": dict.fromkeys((_R, _L), dropped(_STRANGE)) | {_A: _EDITS},
                _R: {"openai": _UNHEARD, _A: _EDITS, _L: dropped(_STRANGE)},
                _A: dict.fromkeys((_R, _L), dropped(_STRANGE)) | {"openai": _UNHEARD},
                _L: {"openai": _UNHEARD, _R: dropped(_STRANGE), _A: _EDITS},
            },
        ),
    ),
}
"""All rows, in groups, in the order of the page."""

ROWS: Final = {row.name: row for rows in GROUPS.values() for row in rows}

CELLS: Final[Mapping[Key, Cell]] = {
    (front, back, row.name): row.cell(front, back)
    for row in ROWS.values()
    for front in FRONTS
    for back in BACKS
}
"""Every cell."""

COUNTED: Final[Mapping[Key, Cell]] = {key: cell for key, cell in CELLS.items() if cell.kind != "-"}
"""The cells in which there is something to keep."""


def share(cells: Mapping[Key, Cell]) -> float:
    """How many of ``cells`` are kept, of 1."""
    return sum(cell.kind == "kept" for cell in cells.values()) / len(cells)

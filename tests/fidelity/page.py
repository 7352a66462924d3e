"""``docs/fidelity.md``, written from the matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from tests.fidelity.awkward import AWKWARD_CELLS
from tests.fidelity.expected import BACKS, CELLS, COUNTED, FRONTS, GROUPS, ROWS, Cell, Key, share
from tests.fidelity.strict import STRICT_CELLS, STRICT_VENDORS
from tests.fidelity.strict import title as feature_title
from trunkline_mock import AWKWARD

PAGE: Final = Path(__file__).parents[2] / "docs" / "fidelity.md"

_NAMES: Final = {
    "openai": "OpenAI chat",
    "responses": "OpenAI Responses",
    "anthropic": "Anthropic Messages",
    "ollama": "Ollama chat",
}
_PATHS: Final = {
    "openai": "`/v1/chat/completions`",
    "responses": "`/v1/responses`",
    "anthropic": "`/v1/messages`",
    "ollama": "`/api/chat`",
}
_SEEN: Final = {
    "openai": "an OpenAI-compatible server",
    "responses": "a server asked in the Responses API",
    "anthropic": "Anthropic",
    "ollama": "an Ollama server",
}

_INTRODUCTION: Final = """\
# What is kept between dialects

Any client may ask any model, whatever the two speak: clients {fronts}; upstreams OpenAI's chat, OpenAI's \
Responses, Anthropic's Messages or Ollama's own API. This page says what becomes of each feature on the way \
there and back.

Every cell is a test. A client of the one dialect asks an upstream of the other one through a running \
gateway, whole and streamed, and the test looks at what the upstream received and at what the client got. \
What a cell ought to be was written down first, from the vendors' references; a difference fails. The page \
is written from that table by `python -m tests.fidelity`.

Where both sides speak the same dialect, requests and answers pass through as they are. An upstream may have \
another dialect's API besides its own (`speaks` in its provider's section): that dialect's clients pass \
through to it, and this page is not about them.

| In a cell | Meaning |
|---|---|
| kept | the other side is told the same thing, in its own words |
| approximated | its dialect has no field for the thing; the nearest one is used, and the note says how |
| dropped | its dialect has no field for the thing, which is a knob or a by-product: it is left out |
| refused | its dialect has no field for the thing, and without it the answer would be another one: the \
client gets a 400 in its own dialect that says so |
| – | no cell, and not counted: the client's dialect has no such thing ("no such field in front"), or the \
upstream never says it ("nothing to keep") |

**{kept} of {counted} cells are kept, {percent}**; {others}. Without the pairs that pass \
through it is {between}.

| Upstream | {heads} |
|---|{rule}
{shares}
"""

_STRICT: Final = """
## In front of strict vendors

Each request is sent to a mock of the vendor that refuses what the vendor refuses \
([`trunkline mock --strict`](mock.md#strict)). *Taken*: the vendor takes what the gateway makes of it, and \
the client gets the answer. *Refused*: the vendor cannot have it, and the gateway says so. *Passed*: every \
client that has the feature speaks the vendor's own dialect, and gets its answer or its own words; the same \
holds for those clients in all other rows. {cells} cells, each with a client's dialect, are tests. The \
gateway fetches images here (`FETCH_IMAGE_URLS`).

| | {heads} |
|---|{rule}
"""

_AWKWARD: Final = """
## Of awkward answers

{shapes} shapes of answers that vendors and servers were seen to send (`trunkline mock --awkward NAME`). \
*Kept*: what the answer says reaches the client, whole and streamed. *Told*: the error's words reach the \
client. *Kept or named*: so does the piece, or the answer says that it was left out. None becomes a \
gateway's own failure, and nothing is lost in silence.

| | {heads} |
|---|{rule}
"""

_HEAD: Final = "\n## In front of {seen}\n\n| | {heads} |\n|---|{rule}\n"


def render() -> str:
    """The page."""
    kinds = Counter(cell.kind for cell in COUNTED.values())
    others = "{} are approximated, {} dropped, {} refused".format(
        *(kinds[kind] for kind in ("approximated", "dropped", "refused"))
    )
    between = {key: cell for key, cell in COUNTED.items() if key[0] != key[1]}
    fronts = [f"{_NAMES[front]} ({_PATHS[front]})" for front in FRONTS]
    heads, rule = " | ".join(_NAMES[front] for front in FRONTS), "---|" * len(FRONTS)
    page = _INTRODUCTION.format(
        fronts=f"{', '.join(fronts[:-1])} and {fronts[-1]}",
        kept=kinds["kept"],
        counted=len(COUNTED),
        percent=f"{share(COUNTED):.1%}",
        others=others,
        between=f"{_share(between)}, {share(between):.1%}",
        heads=heads,
        rule=rule,
        shares="\n".join(_shares(back) for back in BACKS),
    )
    for back in BACKS:
        page += _HEAD.format(seen=_SEEN[back], heads=heads, rule=rule) + "\n".join(_table(back)) + "\n"
    return page + _strict_part() + _awkward_part()


def _strict_part() -> str:
    """The axis of strict vendors: a table of features and vendors, for all fronts at once."""
    titles = {row.name: row.title for row in ROWS.values()}
    features = dict.fromkeys(feature for _, _, feature in STRICT_CELLS)
    heads = " | ".join(vendor.title for vendor in STRICT_VENDORS.values())
    rows = []
    for feature in features:
        cells = [_strict_cell(vendor, feature) for vendor in STRICT_VENDORS]
        rows.append(f"| {feature_title(feature, titles)} | {' | '.join(cells)} |")
    return _STRICT.format(cells=len(STRICT_CELLS), heads=heads, rule="---|" * len(STRICT_VENDORS)) + (
        "\n".join(rows) + "\n"
    )


def _strict_cell(vendor: str, feature: str) -> str:
    """What becomes of a feature at a vendor, in front of which it does not pass through."""
    kinds = {
        kind
        for (_, who, what), kind in STRICT_CELLS.items()
        if (who, what) == (vendor, feature) and kind != "passed"
    }
    return " or ".join(sorted(kinds)) or "passed"


def _awkward_cell(front: str, shape: str) -> str:
    return AWKWARD_CELLS[front, shape]


def _awkward_part() -> str:
    """The axis of awkward answers."""
    heads, rule = " | ".join(_NAMES[front] for front in FRONTS), "---|" * len(FRONTS)
    rows = [
        f"| {shape.seen} (`{name}`) | {' | '.join(_awkward_cell(front, name) for front in FRONTS)} |"
        for name, shape in AWKWARD.items()
    ]
    return _AWKWARD.format(shapes=len(AWKWARD), heads=heads, rule=rule) + "\n".join(rows) + "\n"


def _shares(back: str) -> str:
    found = [_share({key: cell for key, cell in COUNTED.items() if key[:2] == (f, back)}) for f in FRONTS]
    return f"| {_SEEN[back]} | {' | '.join(found)} |"


def _share(cells: Mapping[Key, Cell]) -> str:
    return f"{sum(cell.kind == 'kept' for cell in cells.values())} of {len(cells)}"


def _table(back: str) -> Iterator[str]:
    """The rows, group by group, and the notes after them."""
    notes: dict[str, int] = {}
    for group, rows in GROUPS.items():
        yield f"| **{group}** |{' |' * len(FRONTS)}"
        for row in rows:
            cells = [_cell(CELLS[front, back, row.name], notes) for front in FRONTS]
            yield f"| {row.title} | {' | '.join(cells)} |"
    yield ""
    for note, at in notes.items():
        yield f"{at}. {note[0].upper()}{note[1:]}."


def _cell(cell: Cell, notes: dict[str, int]) -> str:
    word = "–" if cell.kind == "-" else cell.kind
    return f"{word} ({notes.setdefault(cell.note, len(notes) + 1)})" if cell.note else word

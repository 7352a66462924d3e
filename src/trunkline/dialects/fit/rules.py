"""What a vendor takes of a request, as data: the rules by which the fit step changes what it would refuse.

The module holds types and no behaviour. Which vendor has which rules is data of the vendor spec.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec


class NameRule(msgspec.Struct, frozen=True, kw_only=True):
    """What names, or ids, may look like."""

    chars: str = "a-zA-Z0-9_-"
    """The characters that they may have, as within the brackets of a regular expression."""
    begins: str = ""
    """The characters with which they may begin; empty if with all of these."""
    longest: int | None = 64
    """The number of characters that they may have at most; None: any."""
    exact: bool = False
    """They have ``longest`` characters, and not one less."""

    @property
    def pattern(self) -> str:
        """The regular expression that fits all of a name."""
        most = "" if self.longest is None else self.longest - bool(self.begins)
        least = most if self.exact else 0 if self.begins else 1
        rest = f"[{self.chars}]{{{least},{most}}}"
        return rf"^{f'[{self.begins}]' if self.begins else ''}{rest}\Z"


class SchemaRule(msgspec.Struct, frozen=True, kw_only=True):
    """What JSON Schemas may look like. In every case, a schema of an object has ``properties``."""

    flat_top: bool = False
    """The schema itself is an object, and no choice (``anyOf`` and the like) between some."""
    closed: bool = False
    """Every object forbids properties that it does not name."""
    takes: frozenset[str] | None = None
    """The keywords that are known; None: all but those of ``lacks``."""
    lacks: frozenset[str] = frozenset()
    """Keywords that are refused. What they say is moved to the description."""
    formats: frozenset[str] | None = None
    """The values of ``format`` that are known; None: all."""
    most_min_items: int | None = None
    """The greatest ``minItems`` that is taken; None: any."""
    typed: bool = False
    """Every schema names its type, and none stands beside ``anyOf``."""


class Exclusive(msgspec.Struct, frozen=True):
    """Two fields that a vendor refuses together."""

    kept: str
    left_out: str
    models: tuple[str, ...] = ("*",)
    """The names of the models that refuse them (``*`` and ``?`` match)."""


class ValueRule(msgspec.Struct, frozen=True, kw_only=True):
    """The values that a field may have."""

    field: str
    values: Mapping[str, Mapping[str, Any]]
    """Each value that a client may send, with the fields that are sent in place of this one."""
    models: tuple[str, ...] = ("*",)
    others: bool = False
    """Other values are sent as they are; else the field is left out."""


class Range(msgspec.Struct, frozen=True):
    """The numbers that a field may have. A number beyond them becomes the nearest."""

    least: float
    most: float


class FitRules(msgspec.Struct, frozen=True, kw_only=True):
    """All that one vendor's API refuses in one dialect although the meaning is plain."""

    tool_names: NameRule | None = None
    call_ids: NameRule | None = None
    schema_names: NameRule | None = None
    """Of the answer's JSON Schema."""
    tool_schema: SchemaRule | None = None
    answer_schema: SchemaRule | None = None
    """Of the answer, and of the tools whose arguments are to fit their schema strictly."""
    refused: Mapping[str, frozenset[str]] = {}
    """Fields that are refused, by the names of the models."""
    renamed: Mapping[str, Mapping[str, str]] = {}
    """Fields that have another name there, by the names of the models."""
    exclusive: tuple[Exclusive, ...] = ()
    values: tuple[ValueRule, ...] = ()
    ranges: Mapping[str, Range] = {}
    most_stops: int | None = None
    refused_in_messages: frozenset[str] = frozenset()
    refused_in_tools: frozenset[str] = frozenset()
    """Fields of a tool, or of its function, that are refused."""
    roles: Mapping[str, str] = {}
    """Roles that are unknown, and those that stand for them."""
    takes_cache_control: bool = True
    text_results: bool = False
    """A tool's result is one text, and no list of parts."""
    names_files: bool = False
    """A file that is sent by value must have a name."""
    forced_tool: Mapping[str, Any] | None = None
    """Fields to send with a ``tool_choice`` that forces a call: it is refused while the model thinks."""

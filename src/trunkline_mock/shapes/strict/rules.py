"""The columns of the table of strict vendors: what a vendor refuses, and the words in which it does.

Every column that is left out refuses nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, Final, Literal, NamedTuple

import msgspec

from trunkline_mock.shapes.base import VendorError

ANYTHING: Final = ".*"
"""The pattern of columns that take every name."""


class Refusal(NamedTuple):
    """The error with which a vendor refuses something."""

    message: str
    """Its text. ``{name}`` is the field, tool or id that is refused, ``{path}`` its place, ``{value}`` its
    value, ``{model}`` the model."""
    status: int = 400
    code: str | None = None
    param: str | None = None
    """The error's ``param``, with the same names in braces."""
    detail_type: str = ""
    """If it is set, the message is Mistral's object: a list of details of this type."""

    def error(
        self,
        *,
        name: str = "",
        path: str = "",
        value: Any = None,
        model: str = "",
        place: tuple[Any, ...] = (),
    ) -> VendorError:
        """The error for one place.

        Args:
            name: What is refused.
            path: Its place in words.
            value: Its value.
            model: The model that is asked.
            place: Its place as Mistral tells it.
        """
        words = {"name": name, "path": path, "value": value, "model": model}
        message = self.message.format(**words)
        param = None if self.param is None else self.param.format(**words)
        detail = None
        if self.detail_type:
            item = {"type": self.detail_type, "loc": ["body", *place], "msg": message, "input": value}
            detail = {"detail": [item]}
        return VendorError(self.status, message, code=self.code, param=param, message_object=detail)


DEFAULT: Final = Refusal("The request is not valid: {name}")


class Allowed(NamedTuple):
    """The only values of a field that are taken."""

    values: tuple[Any, ...]
    refusal: Refusal


class SchemaRules(msgspec.Struct, frozen=True, kw_only=True):
    """What is refused in the JSON schemas of tools and of answers."""

    words: frozenset[str] = frozenset()
    """Keywords that are refused wherever they stand."""
    bad_word: Refusal = DEFAULT
    no_properties: Refusal | None = None
    """For an object without ``properties`` at the top of a tool's schema."""
    combined_top: Refusal | None = None
    """For ``anyOf``, ``oneOf``, ``allOf``, ``enum`` or ``not`` at the top of a tool's schema."""
    not_object: Refusal | None = None
    """For a tool's schema that is no object."""
    untyped: Refusal | None = None
    """For a property without a type."""
    tuple_items: Refusal | None = None
    type_beside_any_of: Refusal | None = None
    open_object: Refusal | None = None
    """For an object without ``additionalProperties: false``, where the request says ``strict``."""
    optional_property: Refusal | None = None
    """For a property that is not required, where the request says ``strict``."""


class ModelRules(msgspec.Struct, frozen=True, kw_only=True):
    """What some models refuse; the first pattern that matches a model counts."""

    pattern: str
    thinks: Literal["never", "asked", "default", "always"] = "never"
    """Whether the model thinks: if it is asked to, unless it is told not to, or whatever it is told."""
    refuses: Mapping[str, Refusal] = {}
    """Fields that are refused at any value."""
    allowed: Mapping[str, Allowed] = {}
    """Fields with few values."""
    allowed_thinking: Mapping[str, Allowed] = {}
    """Likewise, while the model thinks."""
    cannot_stop: Refusal | None = None
    """For a request that switches thinking off."""
    tools_and_thinking: Refusal | None = None
    """For function tools together with thinking."""
    signed_calls: bool = False
    """The first call of each step must bring back its signature."""
    details_back: Refusal | None = None
    """For an assistant's message with calls and without a signature among ``reasoning_details``."""
    no_images: Refusal | None = None
    tools_with_json: Refusal | None = None
    """For tools together with a JSON mode."""


class ChatRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one vendor refuses in a chat request."""

    fields: frozenset[str] | None = None
    """The fields that it knows; ``None``: it ignores what it does not know."""
    unknown_field: Refusal = DEFAULT
    message_fields: Mapping[str, frozenset[str]] | None = None
    """The fields of a message that it knows, by role; ``None``: it ignores what it does not know."""
    unknown_message_field: Refusal = DEFAULT
    function_fields: frozenset[str] | None = None
    """The fields of a tool's ``function``."""
    refuses: Mapping[str, Refusal] = {}
    """Fields that are refused at any value, even their default."""
    allowed: Mapping[str, Allowed] = {}
    """Fields with few values."""
    pairs: tuple[tuple[tuple[str, str], Refusal], ...] = ()
    """Fields that are refused together."""
    roles: frozenset[str] | None = None
    unknown_role: Refusal = DEFAULT
    after_tool: frozenset[str] | None = None
    """The roles that may follow a tool's result."""
    bad_order: Refusal = DEFAULT
    last_roles: frozenset[str] | None = None
    """The roles of the last message; an assistant's message with ``prefix`` may be the last one as well."""
    bad_last: Refusal = DEFAULT
    max_stops: int | None = None
    too_many_stops: Refusal = DEFAULT
    max_tools: int | None = None
    too_many_tools: Refusal = DEFAULT
    tool_name: str = ANYTHING
    """The pattern of the names of tools, in the list of tools and in earlier calls."""
    bad_tool_name: Refusal = DEFAULT
    call_id: str = ANYTHING
    """The pattern of the ids of calls."""
    bad_call_id: Refusal = DEFAULT
    tool_choices: frozenset[str] | None = None
    """Of ``auto``, ``none``, ``required``, ``any`` and ``named``."""
    bad_tool_choice: Refusal = DEFAULT
    thinking_tool_choices: frozenset[str] | None = None
    """Likewise, while the model thinks."""
    bad_thinking_tool_choice: Refusal = DEFAULT
    reasoning_field: str = "reasoning_content"
    reasoning_back: Literal["", "loop", "calls"] = ""
    """Which assistant's messages with calls must have the reasoning field while the model thinks: those of
    the present tool loop, or all. An empty string is enough."""
    missing_reasoning: Refusal = DEFAULT
    missing_signature: Refusal = DEFAULT
    foreign_signature: Refusal = DEFAULT
    image_urls: tuple[str, ...] | None = None
    """How the URL of an image may begin."""
    bad_image_url: Refusal = DEFAULT
    empty_text: Refusal | None = None
    """For a text part that is empty beside calls."""
    result_parts: Refusal | None = None
    """For a tool's result that is no string."""
    nameless_file: Refusal | None = None
    schemas: SchemaRules = SchemaRules()
    models: tuple[ModelRules, ...] = ()

    def model(self, name: str) -> ModelRules:
        """The rules of the model ``name``."""
        found = (each for each in self.models if fnmatchcase(name.lower(), each.pattern))
        return next(found, ModelRules(pattern="*"))

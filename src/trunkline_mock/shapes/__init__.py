"""The vendors that the mock can play, by name. Another API is another module here, and a branch below.

A shape, such as ``anthropic``, is one API's routes and answers; ``base`` says what all of them offer. Beside
it stand what it refuses (``_checks``, and for Anthropic also ``_messages`` and ``_blocks``), how it reads a
request (``_asks``), how its answers look (``_forms``) and its errors (``_errors``). ``openai`` plays every
one of the ``vendors`` of that API, and ``responses`` lives in a corner of it. ``ollama`` also has models on a
disk (``_store``) and routes to manage them (``_manage``).
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline_mock.script import MockModel, Scenario, as_models
from trunkline_mock.shapes.anthropic import DEFAULT_MODELS as CLAUDES
from trunkline_mock.shapes.anthropic import AnthropicShape
from trunkline_mock.shapes.base import Call, Catalog, RefusalError, Shape
from trunkline_mock.shapes.ollama import OllamaShape
from trunkline_mock.shapes.ollama_store import DEFAULT_MODELS, OllamaStore
from trunkline_mock.shapes.openai import OpenAIShape
from trunkline_mock.shapes.vendors import VENDORS, Vendor

__all__ = ["SHAPES", "Call", "RefusalError", "Shape", "make_shape"]

SHAPES: Final[tuple[str, ...]] = ("ollama", "anthropic", *VENDORS)
"""Names of the shapes."""


def make_shape(name: str, scenario: Scenario) -> Shape:
    """The shape called ``name``, with the models and quirks of ``scenario``.

    Raises:
        ValueError: there is no such shape, or no such quirk.
    """
    models = None if scenario.models is None else as_models(scenario.models)
    if name in ("ollama", "anthropic") and scenario.quirks:
        raise ValueError(f"the {name} shape has no quirks to set")
    if name == "anthropic":
        return AnthropicShape(_catalog(CLAUDES if models is None else models, scenario))
    if name == "ollama":
        return OllamaShape(
            OllamaStore(
                DEFAULT_MODELS if models is None else models,
                any_model=scenario.any_model,
                list_magic=scenario.list_magic,
            )
        )
    if name not in VENDORS:
        raise ValueError(f"unknown shape {name!r}; there are: {', '.join(SHAPES)}")
    fields = {field: getattr(VENDORS[name], field) for field in Vendor.__struct_fields__}
    vendor = msgspec.convert({**fields, **scenario.quirks}, Vendor)
    return OpenAIShape(vendor, _catalog(vendor.models if models is None else models, scenario))


def _catalog(models: tuple[MockModel, ...], scenario: Scenario) -> Catalog:
    return Catalog(models, any_model=scenario.any_model, list_magic=scenario.list_magic)

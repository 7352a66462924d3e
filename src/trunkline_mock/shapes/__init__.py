"""The APIs that the mock can play, by name.

A shape is one API as the mock serves it. ``base`` defines what all shapes have in common. Each API is a
package, and the same roles have the same module names in each of them:

- ``shape``: the routes and the class that the simulator uses.
- ``validate``: what the vendor refuses, with the vendor's error messages.
- ``parse``: a request to the model's input.
- ``write``: the model's output to a response.
- ``errors``: the vendor's error bodies, error records and default messages.

``openai`` plays every row of its module ``vendors``, which are the vendors and servers with OpenAI's API.
``strict`` has what each vendor refuses beyond that. ``responses`` is OpenAI's Responses API and keeps
conversations in its ``store``. ``ollama`` also has a ``store`` of models and the routes for their
``management``. The validation of ``anthropic`` is divided into fields, blocks and messages.

The packages do not know how they are combined into a server; :func:`make_shape` does that. A new API is a new
package and a branch there.
"""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline_mock.script import MockModel, Scenario, as_models
from trunkline_mock.shapes.anthropic.shape import DEFAULT_MODELS as ANTHROPIC_MODELS
from trunkline_mock.shapes.anthropic.shape import AnthropicShape, MessagesOnlyShape
from trunkline_mock.shapes.base import Catalog, ParsedRequest, Shape, VendorError
from trunkline_mock.shapes.ollama.shape import OllamaShape
from trunkline_mock.shapes.ollama.store import DEFAULT_MODELS as OLLAMA_MODELS
from trunkline_mock.shapes.ollama.store import OllamaStore
from trunkline_mock.shapes.openai.shape import NestedShape, OpenAIShape
from trunkline_mock.shapes.openai.vendor import Vendor
from trunkline_mock.shapes.openai.vendors import VENDORS
from trunkline_mock.shapes.responses.shape import ResponsesShape
from trunkline_mock.shapes.strict.vendors import STRICT

__all__ = ["SHAPES", "ParsedRequest", "Shape", "VendorError", "make_shape"]

SHAPES: Final[tuple[str, ...]] = ("ollama", "anthropic", *VENDORS)
"""The names of all shapes."""


def make_shape(name: str, scenario: Scenario) -> Shape:
    """The shape ``name`` with the models and quirks of ``scenario``.

    Args:
        name: One of :data:`SHAPES`.
        scenario: Its ``models``, ``any_model``, ``list_magic`` and ``quirks`` are used.

    Raises:
        ValueError: There is no such shape or no such quirk.
    """
    models = None if scenario.models is None else as_models(scenario.models)
    if name in ("ollama", "anthropic") and scenario.quirks:
        raise ValueError(f"the {name} shape has no quirks to set")
    if name == "anthropic":
        catalog = _catalog(ANTHROPIC_MODELS if models is None else models, scenario)
        return AnthropicShape(catalog, strict=scenario.strict)
    if name == "ollama":
        return OllamaShape(
            OllamaStore(
                OLLAMA_MODELS if models is None else models,
                any_model=scenario.any_model,
                list_scripted_names=scenario.list_magic,
            )
        )
    if name not in VENDORS:
        raise ValueError(f"unknown shape {name!r}; there are: {', '.join(SHAPES)}")
    fields = {field: getattr(VENDORS[name], field) for field in Vendor.__struct_fields__}
    vendor = msgspec.convert({**fields, **scenario.quirks}, Vendor)
    catalog = _catalog(vendor.models if models is None else models, scenario)
    rules = STRICT.get(name) if scenario.strict else None
    nested: list[NestedShape] = []
    if vendor.responses:
        nested.append(ResponsesShape(vendor, catalog, rules if name == "openai" else None))
    if vendor.messages:
        nested.append(MessagesOnlyShape(vendor.name, vendor.roots, catalog))
    return OpenAIShape(vendor, catalog, nested, rules)


def _catalog(models: tuple[MockModel, ...], scenario: Scenario) -> Catalog:
    return Catalog(models, any_model=scenario.any_model, list_scripted_names=scenario.list_magic)

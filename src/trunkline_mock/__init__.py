"""A scriptable mock upstream, for tests of gateways and of clients: see ``docs/mock.md``.

It plays Ollama, OpenAI, Anthropic, OpenRouter, Cerebras and servers of OpenAI's API, answers as scripted,
misbehaves as scripted, and remembers what it was asked::

    async with MockUpstream("ollama", Script(text="Hello!")) as mock:
        ...  # point something at mock.base_url
        assert mock.calls[-1].json["stream"] is True

``upstream`` is the mock in this process, ``command`` the mock as one of its own. A request comes in by a
``connection``; ``player`` finds the ``script`` that holds for it (``magic`` model names are scripts too), one
of the ``shapes`` reads it and writes the words of ``answers`` in its vendor's form, with values from
``schema`` where one was asked for; ``delivery`` lays that out in steps, which ``faults`` spoil; what came is
``recorded``.

Nothing here depends on the rest of the package.
"""

from __future__ import annotations

from trunkline_mock.command import run
from trunkline_mock.recorded import Recorded, Tokens
from trunkline_mock.script import (
    FAULT_KINDS,
    Fault,
    FaultKind,
    MockModel,
    Rule,
    Scenario,
    Script,
    ToolCall,
    Usage,
    load_scenario,
)
from trunkline_mock.shapes import SHAPES
from trunkline_mock.upstream import MockUpstream

__all__ = [
    "FAULT_KINDS",
    "SHAPES",
    "Fault",
    "FaultKind",
    "MockModel",
    "MockUpstream",
    "Recorded",
    "Rule",
    "Scenario",
    "Script",
    "Tokens",
    "ToolCall",
    "Usage",
    "load_scenario",
    "run",
]

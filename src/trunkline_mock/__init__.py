"""A scriptable mock of an LLM vendor's API, for tests of gateways and of clients: see ``docs/mock.md``.

It plays Ollama, OpenAI, Anthropic, OpenRouter, Cerebras and servers that are compatible with OpenAI. It
answers and misbehaves as a script says, and it records the requests that it gets::

    async with MockUpstream("ollama", Script(text="Hello!")) as mock:
        ...  # point something at mock.base_url
        assert mock.calls[-1].json["stream"] is True

The package imports nothing of ``trunkline``, so that its reading of each API stays independent. The modules,
in the order in which they import each other:

- ``response``: an HTTP response before it is framed, as a sequence of records.
- ``awkward``: answers in shapes that no reference has, and that were seen all the same.
- ``script``: scripts, faults, models and scenarios as values, and their decoding from JSON and YAML.
- ``scripted_names``: model names that stand for a script, such as ``mock-status-429``.
- ``json_schema``: the smallest JSON value that a schema allows.
- ``generation``: what the mock model writes, independent of any vendor's API.
- ``steps``: the writes and pauses that send a response.
- ``faults``: how a fault changes a response or its steps.
- ``shapes``: the vendors' APIs. Each of them parses and validates requests and writes responses.
- ``recording``: the requests that a test can inspect.
- ``simulator``: chooses the script for a request and plans the steps of its response, without any I/O.
- ``connection``: one client connection on asyncio.
- ``upstream``: the server in this process. ``cli``: the server as a process of its own.
"""

from __future__ import annotations

from trunkline_mock.awkward import AWKWARD
from trunkline_mock.cli import run
from trunkline_mock.recording import RecordedRequest, Tokens
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
    "AWKWARD",
    "FAULT_KINDS",
    "SHAPES",
    "Fault",
    "FaultKind",
    "MockModel",
    "MockUpstream",
    "RecordedRequest",
    "Rule",
    "Scenario",
    "Script",
    "Tokens",
    "ToolCall",
    "Usage",
    "load_scenario",
    "run",
]

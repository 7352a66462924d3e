"""Ollama's API as its clients read it: types as strict as Go's, lines, and a plain client.

A field without a default is one that some client fails without. Numbers are integers where Go's are, times
are RFC 3339 with their zone and never empty, a tool call's arguments are an object.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import httpx
import msgspec
from msgspec import Meta, Struct

from tests.e2e.conftest import GUARD, KEY, World

Time = Annotated[datetime, Meta(tz=True)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[int, Meta(ge=0)]


class Failure(Struct, forbid_unknown_fields=True):
    """An error: its text and nothing else."""

    error: Text


class Version(Struct):
    """/api/version, which clients take apart at the dots."""

    version: Annotated[str, Meta(pattern=r"^\d+\.\d+\.\d+$")]


class Details(Struct):
    """``details`` of a model."""

    parent_model: str
    format: str
    family: Text
    families: list[str]
    parameter_size: str
    quantization_level: str


class Tag(Struct):
    """An entry of /api/tags."""

    name: Text
    model: Text
    modified_at: Time
    size: Count
    digest: Digest
    details: Details
    capabilities: list[str]
    remote_model: str | None = None
    remote_host: str | None = None


class Tags(Struct):
    """/api/tags."""

    models: list[Tag]


class Loaded(Struct):
    """An entry of /api/ps."""

    name: Text
    model: Text
    size: Count
    digest: Digest
    details: Details
    expires_at: Time
    size_vram: Count
    context_length: Count


class Running(Struct):
    """/api/ps."""

    models: list[Loaded]


class Shown(Struct):
    """/api/show."""

    details: Details
    model_info: dict[str, Any]
    capabilities: Annotated[list[str], Meta(min_length=1)]
    modified_at: Time
    template: str
    modelfile: str
    license: str = ""
    parameters: str = ""
    remote_model: str | None = None
    remote_host: str | None = None


class Function(Struct):
    """What a tool call calls."""

    name: Text
    arguments: dict[str, Any]
    index: Count = 0


class ToolCall(Struct):
    """A call of a tool."""

    function: Function
    id: Text


class Message(Struct):
    """The message of an answer."""

    role: Literal["assistant"]
    content: str
    thinking: str = ""
    tool_calls: list[ToolCall] = []


class Metrics(Struct, kw_only=True):
    """What both kinds of answers have; the durations are nanoseconds."""

    model: Text
    created_at: Time
    done: bool
    done_reason: Literal["stop", "length", "load", "unload"] | None = None
    total_duration: Count = 0
    load_duration: Count = 0
    prompt_eval_count: Count = 0
    prompt_eval_duration: Count = 0
    eval_count: Count = 0
    eval_duration: Count = 0


class Chat(Metrics, kw_only=True):
    """An answer of /api/chat, or a line of one."""

    message: Message


class Generate(Metrics, kw_only=True):
    """An answer of /api/generate, or a line of one."""

    response: str
    thinking: str = ""
    context: list[int] | None = None


class Progress(Struct):
    """A line of /api/pull."""

    status: Text
    digest: str = ""
    total: Count = 0
    completed: Count = 0


class Vectors(Struct):
    """/api/embed."""

    model: Text
    embeddings: list[list[float]]
    total_duration: Count
    load_duration: Count
    prompt_eval_count: Count


@contextmanager
def calling(world: World, key: str = KEY, *, in_path: bool = False) -> Iterator[httpx.Client]:
    """A client that sends its key in a header, or that has it in its address for want of headers."""
    base = f"{world.url}/key/{key}" if in_path else world.url
    headers = {} if in_path else {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=base, headers=headers, timeout=GUARD) as client:
        yield client


def lines_of(answer: httpx.Response) -> list[bytes]:
    """The lines of a stream, each of them whole and none of them blank."""
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.content.endswith(b"\n"), answer.content
    lines = answer.content[:-1].split(b"\n")
    assert all(line.strip() for line in lines), answer.content
    return lines


def objects_of(answer: httpx.Response) -> list[Any]:
    """The same, decoded."""
    return [json.loads(line) for line in lines_of(answer)]


def failure_of(answer: httpx.Response) -> str:
    """The text of an error answer."""
    assert answer.headers["content-type"].startswith("application/json")
    return msgspec.json.decode(answer.content, type=Failure).error

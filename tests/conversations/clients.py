"""A client of each dialect that keeps a conversation as such clients do: with the answers as it got them."""

from __future__ import annotations

import json
from typing import Any, Final, Protocol

from tests.fidelity.lenient import bodies
from tests.fidelity.values import PIXEL, PIXEL_URL, SCHEMA
from tests.gateways import Answer

TOOLS: Final = ("get_weather", "get_time", "search-files")
"""The tools that every conversation offers."""


class Client(Protocol):
    """What each client does."""

    def ask(self, model: str, stream: bool) -> dict[str, Any]: ...

    def user(self, text: str, image: bool) -> None: ...

    def results(self, texts: list[str], failed: bool) -> None: ...

    def take(self, answer: Answer, stream: bool) -> None: ...

    @property
    def said(self) -> str: ...

    @property
    def calls(self) -> list[tuple[str, Any]]: ...


class _Client:
    """What all clients share: the turns, and what the last answer said."""

    def __init__(self) -> None:
        self.turns: list[dict[str, Any]] = []
        self.said = ""
        self.calls: list[tuple[str, Any]] = []
        self.ids: list[str] = []


def _function(name: str) -> dict[str, Any]:
    return {"name": name, "description": f"Calls {name}.", "parameters": SCHEMA}


class ChatClient(_Client):
    """A client of OpenAI's chat API, which sends messages back with all their fields."""

    def ask(self, model: str, stream: bool) -> dict[str, Any]:
        """The request."""
        tools = [{"type": "function", "function": _function(name)} for name in TOOLS]
        return {"model": model, "messages": self.turns, "tools": tools, "stream": stream}

    def user(self, text: str, image: bool) -> None:
        """Add a user's message."""
        parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": PIXEL_URL}}]
        self.turns.append({"role": "user", "content": parts if image else text})

    def results(self, texts: list[str], failed: bool) -> None:
        """Add the results of the last calls."""
        for call_id, text in zip(self.ids, texts, strict=True):
            self.turns.append({"role": "tool", "tool_call_id": call_id, "content": text})

    def take(self, answer: Answer, stream: bool) -> None:
        """Add the answer."""
        message: dict[str, Any] = {"role": "assistant", "content": None}
        if not stream:
            found = answer.json["choices"][0]["message"]
            message |= {name: value for name, value in found.items() if value}
        for event in bodies(answer) if stream else ():
            for choice in event.get("choices") or ():
                _merge(message, choice.get("delta") or {})
        content = message["content"]
        parts = content if isinstance(content, list) else [{"type": "text", "text": content or ""}]
        self.said = "".join(part.get("text", "") for part in parts)
        calls = message.get("tool_calls") or []
        self.ids = [call["id"] for call in calls]
        self.calls = [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]
        for call in calls:
            call.pop("index", None)
        self.turns.append(message)


def _merge(message: dict[str, Any], delta: dict[str, Any]) -> None:
    """Add a delta to a message: texts and lists go on, calls by their index."""
    for name, value in delta.items():
        if name == "tool_calls":
            calls = message.setdefault("tool_calls", [])
            for piece in value or ():
                at = piece.get("index", len(calls))
                if at < len(calls):
                    calls[at]["function"]["arguments"] += piece["function"].get("arguments") or ""
                else:
                    calls.append(piece | {"function": dict(piece["function"])})
        elif name != "role" and value:
            old = message.get(name)
            message[name] = value if not old else old + value


class MessagesClient(_Client):
    """A client of Anthropic's API."""

    def ask(self, model: str, stream: bool) -> dict[str, Any]:
        """The request."""
        tools = [{"name": name, "description": "A tool.", "input_schema": SCHEMA} for name in TOOLS]
        body = {"model": model, "max_tokens": 4096, "messages": self.turns, "tools": tools}
        return body | {"stream": stream}

    def user(self, text: str, image: bool) -> None:
        """Add a user's message."""
        source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
        blocks = [{"type": "text", "text": text}, {"type": "image", "source": source}]
        self.turns.append({"role": "user", "content": blocks if image else text})

    def results(self, texts: list[str], failed: bool) -> None:
        """Add the results of the last calls."""
        blocks = [
            {"type": "tool_result", "tool_use_id": call_id, "content": text, "is_error": failed}
            for call_id, text in zip(self.ids, texts, strict=True)
        ]
        self.turns.append({"role": "user", "content": blocks})

    def take(self, answer: Answer, stream: bool) -> None:
        """Add the answer."""
        blocks: list[dict[str, Any]] = [] if stream else answer.json["content"]
        for event in bodies(answer) if stream else ():
            match event["type"]:
                case "content_block_start":
                    blocks.append(dict(event["content_block"]) | {"": ""})
                case "content_block_delta":
                    for name, value in event["delta"].items():
                        if name == "partial_json":
                            blocks[-1][""] += value
                        elif name != "type":
                            blocks[-1][name] += value
                case "content_block_stop":
                    pieces = blocks[-1].pop("")
                    if blocks[-1]["type"] == "tool_use":
                        blocks[-1]["input"] = json.loads(pieces or "{}")
                case _:
                    pass
        self.said = "".join(block["text"] for block in blocks if block["type"] == "text")
        calls = [block for block in blocks if block["type"] == "tool_use"]
        self.ids = [block["id"] for block in calls]
        self.calls = [(block["name"], block["input"]) for block in calls]
        self.turns.append({"role": "assistant", "content": blocks})


class ResponsesClient(_Client):
    """A client of OpenAI's Responses API that keeps the items itself."""

    def ask(self, model: str, stream: bool) -> dict[str, Any]:
        """The request."""
        tools = [{"type": "function", "strict": False, **_function(name)} for name in TOOLS]
        body = {"model": model, "input": self.turns, "tools": tools, "stream": stream, "store": False}
        return body | {"include": ["reasoning.encrypted_content"]}

    def user(self, text: str, image: bool) -> None:
        """Add a user's message."""
        parts = [{"type": "input_text", "text": text}, {"type": "input_image", "image_url": PIXEL_URL}]
        self.turns.append({"role": "user", "content": parts if image else text})

    def results(self, texts: list[str], failed: bool) -> None:
        """Add the results of the last calls."""
        for call_id, text in zip(self.ids, texts, strict=True):
            self.turns.append({"type": "function_call_output", "call_id": call_id, "output": text})

    def take(self, answer: Answer, stream: bool) -> None:
        """Add the answer."""
        output: list[dict[str, Any]] = list(bodies(answer))[-1]["response"]["output"] if stream else []
        output = output or answer.json["output"]
        messages = [item for item in output if item["type"] == "message"]
        self.said = "".join(part["text"] for item in messages for part in item["content"])
        calls = [item for item in output if item["type"] == "function_call"]
        self.ids = [item["call_id"] for item in calls]
        self.calls = [(item["name"], json.loads(item["arguments"])) for item in calls]
        self.turns += output


class OllamaClient(_Client):
    """A client of Ollama's API, which has no ids of calls."""

    def ask(self, model: str, stream: bool) -> dict[str, Any]:
        """The request."""
        tools = [{"type": "function", "function": _function(name)} for name in TOOLS]
        return {"model": model, "messages": self.turns, "tools": tools, "stream": stream}

    def user(self, text: str, image: bool) -> None:
        """Add a user's message."""
        self.turns.append({"role": "user", "content": text} | ({"images": [PIXEL]} if image else {}))

    def results(self, texts: list[str], failed: bool) -> None:
        """Add the results of the last calls."""
        for (name, _), text in zip(self.calls, texts, strict=True):
            self.turns.append({"role": "tool", "tool_name": name, "content": text})

    def take(self, answer: Answer, stream: bool) -> None:
        """Add the answer."""
        message: dict[str, Any] = {"role": "assistant", "content": ""}
        for line in bodies(answer):
            for name, value in (line.get("message") or {}).items():
                if name != "role" and value:
                    message[name] = value if not message.get(name) else message[name] + value
        self.said = message["content"]
        self.calls = [
            (call["function"]["name"], call["function"]["arguments"])
            for call in message.get("tool_calls") or ()
        ]
        self.turns.append(message)


CLIENTS: Final[dict[str, tuple[type[Client], str]]] = {
    "openai": (ChatClient, "/v1/chat/completions"),
    "anthropic": (MessagesClient, "/v1/messages"),
    "responses": (ResponsesClient, "/v1/responses"),
    "ollama": (OllamaClient, "/api/chat"),
}
"""The clients by their dialect, with the path that they ask."""

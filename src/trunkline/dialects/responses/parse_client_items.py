"""Calls and results of tools that a Responses client runs, other than functions → canonical."""

from __future__ import annotations

from typing import Final

import msgspec

from trunkline.dialects.request_errors import decode, invalid, missing, split_data_url
from trunkline.dialects.responses import request_schema as schema
from trunkline.dialects.responses.client_tools import CALLS, OUTPUTS
from trunkline.dialects.responses.errors import unsupported
from trunkline.dialects.responses.parse_tools import flat_name, tool_names
from trunkline.model import Image, Text, ToolCall, ToolResult

_CALL: Final = msgspec.json.Decoder(schema.ClientCallItem)
_TEXT: Final = msgspec.json.Decoder(schema.PatchResult)
_SHELL: Final = msgspec.json.Decoder(schema.ShellResult)
_SCREEN: Final = msgspec.json.Decoder(schema.ScreenResult)


def parse_client_call(kind: str, item: msgspec.Raw, path: str) -> ToolCall:
    """Return the call that an item of type ``kind`` is.

    Raises:
        CallerError: A field is missing or wrong; ``param`` names it.
    """
    tool = CALLS[kind]
    call = decode(_CALL, item, path)
    value = getattr(call, tool.field)
    value = call.actions if value is None else value
    if value is None:
        raise missing(f"{path}.{tool.field}")
    if isinstance(value, list):  # newer screens are told several actions at once
        value = value[0] if len(value) == 1 else {"actions": value}
    if tool.is_custom and call.name is None:
        raise missing(f"{path}.name")
    name = flat_name(call.namespace, call.name or "") if tool.is_custom else tool.name
    return ToolCall(id=_call_id(call, path), name=name, arguments=tool.arguments(value))


def parse_client_result(kind: str, item: msgspec.Raw, path: str) -> ToolResult:
    """Return the result that an item of type ``kind`` is.

    Raises:
        CallerError: A field is missing or wrong; ``param`` names it.
    """
    call = decode(_CALL, item, path)
    call_id = _call_id(call, path)
    match OUTPUTS[kind].name:
        case "shell":
            outputs = decode(_SHELL, item, path).output
            text = "\n".join(part for output in outputs for part in _command_texts(output))
            return ToolResult(id=call_id, parts=(Text(text=text),) if text else ())
        case "tool_search":
            names = tool_names(call.tools or ())
            text = f"These tools can be called now: {', '.join(names)}" if names else "No tools were found"
            return ToolResult(id=call_id, parts=(Text(text=text),))
        case "computer":
            return ToolResult(id=call_id, parts=(_screenshot(decode(_SCREEN, item, path).output, path),))
        case _:
            result = decode(_TEXT, item, path)
            parts = (Text(text=result.output),) if result.output else ()
            return ToolResult(id=call_id, parts=parts, is_error=result.status == "failed")


def _call_id(item: schema.ClientCallItem, path: str) -> str:
    call_id = item.call_id or item.id
    if not call_id:
        raise missing(f"{path}.call_id")
    return call_id


def _command_texts(output: schema.CommandOutput) -> list[str]:
    """What one command wrote, and how it ended unless all went well."""
    texts = [text for text in (output.stdout, output.stderr) if text]
    outcome = output.outcome
    if outcome is not None and outcome.type == "timeout":
        texts.append("(timed out)")
    elif outcome is not None and (outcome.exit_code or not texts):
        texts.append(f"(exit code {outcome.exit_code or 0})")
    return texts


def _screenshot(screen: schema.Screenshot, path: str) -> Image:
    return parse_image(schema.ImagePart(screen.image_url, screen.file_id), f"{path}.output")


def parse_image(part: schema.ImagePart, path: str) -> Image:
    """Return the image that stands at ``path``.

    Raises:
        CallerError: It has no address, a wrong one, or is an uploaded file.
    """
    url, url_path = part.image_url, f"{path}.image_url"
    if url is None:
        if part.file_id is not None:
            raise unsupported("An image by file id", f"{path}.file_id")
        raise missing(url_path)
    if url.startswith("data:"):
        media_type, data = split_data_url(url, url_path)
        return Image(data=data, media_type=media_type, detail=part.detail)
    if url.startswith(("http://", "https://")):
        return Image(url=url, detail=part.detail)
    raise invalid(url_path, "an image is a data: URL with base64 data, or an http(s) URL")

"""The error for a request to the admin API that is not valid; its text names the fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, get_args

from fastapi.routing import APIRoute
from pydantic import BaseModel

from trunkline.errors import UNPROCESSABLE, CallerError, redact
from trunkline.settings.values import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import Request
    from fastapi.exceptions import RequestValidationError

_MAX_FIELDS: Final = 5
"""Fields that one error names."""
_MAX_NAME: Final = 80
"""Characters of a field's name that an error repeats."""


def validation_error(request: Request, error: RequestValidationError) -> CallerError:
    """The error to answer with: a part for each field that is missing, wrong or unknown."""
    problems = error.errors()
    valid = _fields(request)
    parts = list(dict.fromkeys(_part(problem, valid) for problem in problems))
    if len(parts) > _MAX_FIELDS:
        parts[_MAX_FIELDS:] = [f"and {len(parts) - _MAX_FIELDS} more"]
    return CallerError("; ".join(parts), UNPROCESSABLE, param=_name(problems[0]) or None)


def _part(problem: Mapping[str, Any], valid: list[str]) -> str:
    name = _name(problem)
    reason = str(problem["msg"]).removeprefix("Value error, ")
    match problem["type"]:
        case "json_invalid":
            return f"The body is not valid JSON: {problem['ctx']['error']}"
        case "missing" if not name:
            return "The body is missing"
        case "missing":
            return f"{name} is missing"
        case "extra_forbidden":
            return f"{name} is no field here; {suggest(name, valid, 'there are')}"
        case _ if not name:
            return "The body must be a JSON object, with content-type: application/json"
    return f"{name}: {reason[:1].lower()}{reason[1:]}"


def _name(problem: Mapping[str, Any]) -> str:
    """The field in the body or the query; empty for the whole of it."""
    steps = () if problem["type"] == "json_invalid" else problem["loc"][1:]
    return redact(".".join(map(str, steps)), _MAX_NAME)  # it may be a key in the wrong place


def _fields(request: Request) -> list[str]:
    """The names of the fields that the route's body may have."""
    route = request.scope.get("route")
    found: list[str] = []
    if isinstance(route, APIRoute):
        for body in route.dependant.body_params:
            annotation = body.field_info.annotation
            for each in get_args(annotation) or (annotation,):
                if isinstance(each, type) and issubclass(each, BaseModel):
                    found += each.model_fields
    return found

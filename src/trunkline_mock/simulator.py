"""The mock without its sockets: chooses the script for a request and plans the steps of its response.

It has the scripts, the rules and the key that a test sets, and the requests that a test inspects. Responses
that depend only on the bytes of their request are cached, so that repeating a request costs almost nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from trunkline_mock.awkward import AWKWARD, make_awkward
from trunkline_mock.faults import FaultContext, faulty_steps
from trunkline_mock.recording import RecordedRequest, Tokens
from trunkline_mock.response import Record, Response
from trunkline_mock.script import DEFAULT_SCRIPT, Rule, Script, decode_script
from trunkline_mock.scripted_names import script_for_name
from trunkline_mock.shapes import ParsedRequest, Shape, VendorError
from trunkline_mock.steps import Step, choose_framing, response_steps

_MAX_CACHE_ENTRIES: Final = 256
_MAX_CACHED_BODY: Final = 128 * 1024
"""The largest request body, in bytes, whose response is cached."""
_SCRIPT_HEADER: Final = b"x-mock-script"


class _CachedResponse(NamedTuple):
    """A model's response that may be sent again, byte for byte."""

    script: Script
    """The mock's script when the response was made. The entry is stale under another one."""
    steps: tuple[Step, ...]
    response: Response


_CacheKey: TypeAlias = tuple[str, str, bytes, bool, bool, tuple[tuple[bytes, bytes], ...]]
"""What a response depends on: method, target, body, keep-alive, HTTP/1.0, and the headers that matter."""


class _ActiveRule:
    """A rule, and how many times it may still be used."""

    __slots__ = ("remaining_uses", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.remaining_uses = rule.times

    def matches(self, request: RecordedRequest, model: str | None, *, inference: bool) -> bool:
        rule = self.rule
        if self.remaining_uses == 0 or (rule.path is None and not inference):
            return False
        return (
            (rule.path is None or fnmatchcase(request.path, rule.path))
            and (rule.method is None or rule.method.upper() == request.method)
            and (rule.model is None or fnmatchcase((model or "").lower(), rule.model.lower()))
        )

    def use(self) -> Script:
        if self.remaining_uses is not None:
            self.remaining_uses -= 1
        return self.rule.script


class Simulator:
    """Answers requests in the way of a shape as scripts say, and records them."""

    def __init__(
        self,
        shape: Shape,
        script: Script,
        *,
        scripts: Sequence[Script],
        rules: Sequence[Rule],
        require_key: str | None,
        max_requests: int | None,
    ) -> None:
        self.shape = shape
        self.script = script
        """The script of every request for which there is no more specific one."""
        self.scripts = deque(scripts)
        """The scripts of the next requests to models; each is used once."""
        self.require_key = require_key
        """The only API key that is accepted, in the vendor's header; ``None``: no key is required."""
        self.requests: deque[RecordedRequest] = deque(maxlen=max_requests)
        """The requests so far, the oldest first."""
        self._rules = [_ActiveRule(rule) for rule in rules]
        self._cache: dict[_CacheKey, _CachedResponse] = {}

    def on(
        self,
        script: Script,
        *,
        model: str | None = None,
        path: str | None = None,
        method: str | None = None,
        times: int | None = None,
    ) -> None:
        """Use ``script`` for the requests that match. A rule that is added later is checked first.

        Args:
            script: The script to use.
            model: A shell-style pattern for the requested model, ignoring case.
            path: A shell-style pattern for the path. Only a rule with a path applies to routes other than
                inference.
            method: The HTTP method.
            times: How many times the rule is used; ``None``: no limit.
        """
        rule = Rule(script=script, model=model, path=path, method=method, times=times)
        self._rules.insert(0, _ActiveRule(rule))

    def clear_rules(self) -> None:
        """Remove all rules."""
        self._rules.clear()

    @property
    def calls(self) -> list[RecordedRequest]:
        """The requests that asked a model, without the listings that a gateway requests by itself."""
        return [request for request in self.requests if request.inference]

    @property
    def tokens(self) -> list[Tokens]:
        """The tokens of each of those requests: its prompt's, and those of the answer that were sent."""
        return [Tokens(call.model or "", call.prompt_tokens, call.completion_tokens) for call in self.calls]

    def take_refusal(self) -> bool:
        """Whether to refuse a new connection. This uses up a queued script with the fault ``refuse``."""
        fault = (self.scripts[0] if self.scripts else self.script).fault
        if fault is None or fault.kind != "refuse":
            return False
        if self.scripts:
            self.scripts.popleft()
        return True

    def respond(self, request: RecordedRequest, *, keep_alive: bool, http_1_0: bool) -> Iterator[Step]:
        """Record ``request`` and return the steps of its response.

        Args:
            request: The request; its status and prompt tokens are filled in.
            keep_alive: Whether the peer wants to send another request on the connection.
            http_1_0: Whether the peer speaks HTTP/1.0.
        """
        self.requests.append(request)
        vary = self.shape.vary_headers
        headers = tuple(pair for pair in request.raw_headers if pair[0] in vary) if vary else ()
        key = (request.method, request.target, request.body, keep_alive, http_1_0, headers)
        cached = self._cache.get(key)
        if cached is None or cached.script is not self.script or not self._is_cacheable(request):
            steps, response = self._new_response(request, key)
        else:
            steps, response = iter(cached.steps), cached.response
            request.inference = True
            request.status, request.prompt_tokens = response.status, response.prompt_tokens
        if response.side_effect is not None:
            response.side_effect()
        return steps

    def _is_cacheable(self, request: RecordedRequest) -> bool:
        """Whether the response depends only on the mock's script and on the cache key."""
        if self.scripts or self._rules or self.require_key is not None:
            return False
        return all(name != _SCRIPT_HEADER for name, _ in request.raw_headers)

    def _new_response(self, request: RecordedRequest, key: _CacheKey) -> tuple[Iterator[Step], Response]:
        shape = self.shape.shape_for(request.path)
        try:
            response, script = self._scripted_response(shape, request)
        except VendorError as error:
            response, script = shape.vendor_error_response(error), DEFAULT_SCRIPT
        except Exception as error:  # validation overlooked something: report it instead of closing silently
            response = shape.error_response(500, f"The mock cannot answer this: {error!r}", None)
            script = DEFAULT_SCRIPT
        _, _, _, keep_alive, http_1_0, _ = key
        framing = choose_framing(
            response, keep_alive=keep_alive, http_1_0=http_1_0, head_only=request.method == "HEAD"
        )
        request.status, request.prompt_tokens = response.status, response.prompt_tokens
        if script.fault is not None:
            request.status = script.fault.status or 0
            context = FaultContext(
                response=response, script=script, fault=script.fault, framing=framing, error_format=shape
            )
            return faulty_steps(context), response
        steps = tuple(response_steps(response, script, framing))
        if not request.inference:
            self._cache.clear()  # the request may have added or removed models
        elif response.cacheable and len(request.body) <= _MAX_CACHED_BODY and self._is_cacheable(request):
            if len(self._cache) >= _MAX_CACHE_ENTRIES:
                self._cache.clear()
            self._cache[key] = _CachedResponse(self.script, steps, response)
        return iter(steps), response

    def _scripted_response(self, shape: Shape, request: RecordedRequest) -> tuple[Response, Script]:
        """The vendor's response, and the script that it follows.

        Raises:
            VendorError: The vendor would refuse the request.
        """
        path, _, query = request.target.partition("?")
        if self.require_key is not None and path != "/":
            headers = request.headers
            key = headers.get(shape.key_header) if shape.key_header else None
            if key != self.require_key and headers.get("authorization") != f"Bearer {self.require_key}":
                raise _unauthorized(shape)
        route, resource_id = shape.find_route(request.method, path)
        data = shape.parse_body(request.body) if route.takes_json else {}
        request.inference = route.inference
        script = self._choose_script(request, data, inference=route.inference)
        parsed = ParsedRequest(
            path=path,
            query=query,
            headers=request.headers,
            body=request.body,
            data=data,
            resource_id=resource_id,
        )
        response = route.handler(parsed, script)
        if script.body is not None:
            body = script.body.encode() if isinstance(script.body, str) else msgspec.json.encode(script.body)
            response = Response(records=(Record(body),), status=script.status)
        if script.awkward is not None:
            response = make_awkward(AWKWARD[script.awkward], response)
        if script.headers:
            headers_with_scripted = (*response.headers, *script.headers.items())
            response = msgspec.structs.replace(response, headers=headers_with_scripted)
        return response, script

    def _choose_script(self, request: RecordedRequest, data: dict[str, Any], *, inference: bool) -> Script:
        """The script of a request: its header's, its model name's, the next queued one, a rule's, or the
        mock's own."""
        model = data.get("model")
        name = model if isinstance(model, str) else None
        if inference:
            for header, value in request.raw_headers:
                if header == _SCRIPT_HEADER:
                    try:
                        return decode_script(value)
                    except ValueError as error:
                        raise VendorError(400, f"x-mock-script: {error}") from None
            named_script = script_for_name(name) if name else None
            if named_script is not None:
                return named_script
            if self.scripts:
                return self.scripts.popleft()
        for rule in self._rules:
            if rule.matches(request, name, inference=inference):
                return rule.use()
        return self.script if inference else DEFAULT_SCRIPT


def _unauthorized(shape: Shape) -> VendorError:
    """The vendor's usual error for a missing or wrong key."""
    body = msgspec.json.decode(shape.error_response(401, None, None).body)
    error = body.get("error", body)
    if isinstance(error, str):
        return VendorError(401, error)
    return VendorError(401, error["message"], code=error.get("code"))

"""The mock's mind, without its sockets: which script a request gets, and the steps of its answer.

It holds what a test sets (scripts, rules, the key) and sees (the requests), and keeps answers that nothing
but a request's bytes decides, so that the same request again costs next to nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from trunkline_mock.delivery import Frame, Reply, Step, deliver, framing_of
from trunkline_mock.faults import Job, spoil
from trunkline_mock.magic import magic_script
from trunkline_mock.recorded import Recorded, Tokens
from trunkline_mock.script import PLAIN, Rule, Script, decode_script
from trunkline_mock.shapes import Call, RefusalError, Shape

_CACHE_ENTRIES: Final = 256
_CACHE_BODY: Final = 128 * 1024
_SCRIPT_HEADER: Final = b"x-mock-script"


class _Kept(NamedTuple):
    """A model's answer that may be given again, byte for byte."""

    script: Script
    """The mock's script when it was made: under another one it is stale."""
    steps: tuple[Step, ...]
    reply: Reply


_Key: TypeAlias = tuple[str, str, bytes, bool, bool, tuple[tuple[bytes, bytes], ...]]
"""What decides a model's answer: method, target, body, the connection's two flags, headers."""


class _ActiveRule:
    """A rule, and how often it may still be used."""

    __slots__ = ("left", "rule")

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.left = rule.times

    def applies(self, request: Recorded, model: str | None, *, inference: bool) -> bool:
        rule = self.rule
        if self.left == 0 or (rule.path is None and not inference):
            return False
        return (
            (rule.path is None or fnmatchcase(request.path, rule.path))
            and (rule.method is None or rule.method.upper() == request.method)
            and (rule.model is None or fnmatchcase((model or "").lower(), rule.model.lower()))
        )

    def use(self) -> Script:
        if self.left is not None:
            self.left -= 1
        return self.rule.script


class Player:
    """Answers requests as told, and takes notes."""

    def __init__(
        self,
        shape: Shape,
        script: Script,
        scripts: Sequence[Script],
        rules: Sequence[Rule],
        require_key: str | None,
        record: int | None,
    ) -> None:
        self.shape = shape
        self.script = script
        """What is answered, unless something more particular applies."""
        self.scripts = deque(scripts)
        """Answers of the next requests to models; each is used once."""
        self.require_key = require_key
        """The only key accepted, in the vendor's header; ``None``: none is asked for."""
        self.requests: deque[Recorded] = deque(maxlen=record)
        """What was asked, oldest first."""
        self._rules = [_ActiveRule(rule) for rule in rules]
        self._kept: dict[_Key, _Kept] = {}

    def on(
        self,
        script: Script,
        *,
        model: str | None = None,
        path: str | None = None,
        method: str | None = None,
        times: int | None = None,
    ) -> None:
        """Use ``script`` for the requests that match (see :class:`Rule`); later rules go first."""
        rule = Rule(script=script, model=model, path=path, method=method, times=times)
        self._rules.insert(0, _ActiveRule(rule))

    def clear_rules(self) -> None:
        """Forget all rules."""
        self._rules.clear()

    @property
    def calls(self) -> list[Recorded]:
        """The requests that asked a model (not the listings that a gateway does by itself)."""
        return [request for request in self.requests if request.inference]

    @property
    def tokens(self) -> list[Tokens]:
        """What those requests made the models read and, as far as it was really sent, say."""
        return [Tokens(call.model or "", call.prompt_tokens, call.completion_tokens) for call in self.calls]

    def refuses(self) -> bool:
        """Whether a connection that comes now is turned away; uses up the script that says so."""
        fault = (self.scripts[0] if self.scripts else self.script).fault
        if fault is None or fault.kind != "refuse":
            return False
        if self.scripts:
            self.scripts.popleft()
        return True

    def plan(self, request: Recorded, *, keep_alive: bool, old_peer: bool) -> Iterator[Step]:
        """The steps of the answer to ``request``."""
        self.requests.append(request)
        decisive = self.shape.decisive_headers
        headers = tuple(pair for pair in request.raw_headers if pair[0] in decisive) if decisive else ()
        key = (request.method, request.target, request.body, keep_alive, old_peer, headers)
        kept = self._kept.get(key)
        if kept is None or kept.script is not self.script or not self._is_plain(request):
            steps, reply = self._fresh(request, key)
        else:
            steps, reply = iter(kept.steps), kept.reply
            request.inference = True
            request.status, request.prompt_tokens = reply.status, reply.prompt_tokens
        if reply.effect is not None:
            reply.effect()
        return steps

    def _is_plain(self, request: Recorded) -> bool:
        """Nothing but the mock's script and the request's body decides the answer."""
        if self.scripts or self._rules or self.require_key is not None:
            return False
        return all(name != _SCRIPT_HEADER for name, _ in request.raw_headers)

    def _fresh(self, request: Recorded, key: _Key) -> tuple[Iterator[Step], Reply]:
        shape = self.shape.at(request.path)
        try:
            reply, script = self._answer(shape, request)
        except RefusalError as refusal:
            reply, script = shape.refuse(refusal), PLAIN
        except Exception as error:  # a body so odd that no check foresaw it: say so, do not fall silent
            reply, script = shape.error(500, f"The mock cannot answer this: {error!r}", None), PLAIN
        _, _, _, keep_alive, old_peer, _ = key
        framing = framing_of(
            reply, keep_alive=keep_alive, old_peer=old_peer, bodiless=request.method == "HEAD"
        )
        request.status, request.prompt_tokens = reply.status, reply.prompt_tokens
        if script.fault is not None:
            request.status = script.fault.status or 0
            return spoil(Job(reply, script, script.fault, framing, shape)), reply
        steps = tuple(deliver(reply, script, framing))
        if not request.inference:
            self._kept.clear()  # models may have come or gone
        elif reply.lasting and len(request.body) <= _CACHE_BODY and self._is_plain(request):
            if len(self._kept) >= _CACHE_ENTRIES:
                self._kept.clear()
            self._kept[key] = _Kept(self.script, steps, reply)
        return iter(steps), reply

    def _answer(self, shape: Shape, request: Recorded) -> tuple[Reply, Script]:
        """The vendor's answer, and the script that it follows."""
        path, _, query = request.target.partition("?")
        if self.require_key is not None and path != "/":
            headers = request.headers
            own = headers.get(shape.key_header) if shape.key_header else None
            if own != self.require_key and headers.get("authorization") != f"Bearer {self.require_key}":
                raise _unauthorised(shape)
        route, rest = shape.find(request.method, path)
        data = shape.read(request.body) if route.reads else {}
        request.inference = route.inference
        script = self._choose(request, data, inference=route.inference)
        call = Call(path=path, query=query, headers=request.headers, body=request.body, data=data, rest=rest)
        reply = route.handler(call, script)
        if script.body is not None:
            raw = script.body.encode() if isinstance(script.body, str) else msgspec.json.encode(script.body)
            reply = Reply(frames=(Frame(raw),), status=script.status)
        if script.headers:
            reply = msgspec.structs.replace(reply, headers=(*reply.headers, *script.headers.items()))
        return reply, script

    def _choose(self, request: Recorded, data: dict[str, Any], *, inference: bool) -> Script:
        """The script of a request: its header's, its model's, the next in line, a rule's, the mock's."""
        model = data.get("model")
        name = model if isinstance(model, str) else None
        if inference:
            for header, value in request.raw_headers:
                if header == _SCRIPT_HEADER:
                    try:
                        return decode_script(value)
                    except ValueError as error:
                        raise RefusalError(400, f"x-mock-script: {error}") from None
            magic = magic_script(name) if name else None
            if magic is not None:
                return magic
            if self.scripts:
                return self.scripts.popleft()
        for rule in self._rules:
            if rule.applies(request, name, inference=inference):
                return rule.use()
        return self.script if inference else PLAIN


def _unauthorised(shape: Shape) -> RefusalError:
    error = msgspec.json.decode(shape.error(401, None, None).body)
    inner = error.get("error", error)
    if isinstance(inner, str):
        return RefusalError(401, inner)
    return RefusalError(401, inner["message"], code=inner.get("code"))

"""Providers that are reached over HTTP: the transport carries their exchanges.

A provider knows its addresses, its keys and what settings fill into requests. Its back dialect knows what the
bytes mean. The same object serves the gateway (``exchange`` and ``open``) and, through ``library``, a Python
program.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import msgspec

from trunkline import transport
from trunkline.dialects.base import (
    NO_DEFAULTS,
    Back,
    Front,
    Headers,
    HeldState,
    RequestDefaults,
    RequestSummary,
)
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.kept_state import KeptState
from trunkline.dialects.openai import OpenAIBack
from trunkline.dialects.responses import ResponsesBack
from trunkline.dialects.vendor_state import MadeState
from trunkline.errors import UPSTREAM_PROTOCOL, GatewayError, ProviderError
from trunkline.exchange import Exchange, LocalAnswer, PassThrough, Relay, Translate
from trunkline.model import Operation
from trunkline.providers.api_choice import ApiChoice
from trunkline.providers.base import AnswerReceiver, InFlight, ModelInfo, Upstream
from trunkline.providers.failures import classify
from trunkline.providers.foreign_calls import ForeignCalls, foreign_calls
from trunkline.providers.images import ImageFetcher, mentions_image_url
from trunkline.providers.library import LibraryInterface
from trunkline.providers.responses_rules import ApiName, responses_row
from trunkline.providers.thought_rules import maker_of, rules_for
from trunkline.providers.time_limits import AttemptTimeouts, TimeLimitRules
from trunkline.providers.vendors import VendorSpec, other_backs
from trunkline.settings.time_limits import NO_LIMITS, TimeLimits
from trunkline.transport import Client, Origin, Timeouts, UpstreamRequest, parse_origin

MAX_WHOLE_BODY: Final = 256 * 1024 * 1024
"""The maximum number of bytes of an answer that is not streamed, and so held in memory."""
MAX_RETRIES: Final = 2
"""How often a failed request is tried again at the same upstream, unless the settings say."""
MAX_LISTING: Final = 32 * 1024 * 1024

_JSON: Final = (b"content-type", b"application/json")


class Rule(msgspec.Struct, frozen=True):
    """Request defaults for the models that match a pattern."""

    pattern: str
    defaults: RequestDefaults


class _Place(NamedTuple):
    """How one upstream is reached."""

    origin: Origin
    path: bytes
    headers: tuple[tuple[bytes, bytes], ...]
    headers_of_get: tuple[tuple[bytes, bytes], ...]


class HttpProvider(LibraryInterface):
    """A provider over HTTP; satisfies ``base.Provider``."""

    loads_models = False
    has_vendor_ids = False
    answers_any_name = False
    list_path = "/models"
    """Where its models are listed, below its base address."""

    def __init__(
        self,
        name: str,
        kind: str,
        back: Back,
        urls: Sequence[str],
        *,
        client: Client,
        headers: Sequence[tuple[bytes, bytes]] = (),
        other_keys: Sequence[Sequence[tuple[bytes, bytes]]] = (),
        limits: TimeLimitRules | None = None,
        local: bool = False,
        local_only: bool = False,
        max_concurrent: int | None = None,
        max_retries: int = MAX_RETRIES,
        rules: Sequence[Rule] = (),
        id_prefix: str = "chatcmpl-",
        streaming: bool = True,
        owns_client: bool = True,
        other_backs: Sequence[Back] = (),
        api_choice: ApiChoice | None = None,
        kept_state: KeptState | None = None,
        made: MadeState | None = None,
        images: ImageFetcher | None = None,
        foreign_calls: ForeignCalls | None = None,
    ) -> None:
        """``headers`` carry the key; ``other_keys`` are such headers with other keys, each of which makes
        one more upstream of every address. ``other_backs`` are dialects that the upstreams speak besides
        their own: a request in one of them is passed through. ``api_choice`` chooses the API of chats
        where the vendor has two. ``kept_state`` keeps what the vendor wants back and a client's dialect has
        no field for; ``made`` is what is known of who made which state. ``images`` fetches images for
        upstreams that take them by value only. A request in which ``foreign_calls`` finds some is translated
        to the provider's own dialect."""
        self.name = name
        self.kind = kind
        self.local = local
        self.local_only = local_only
        self.max_concurrent = max_concurrent
        self.max_retries = max_retries
        self.back = back
        self._backs = {each.dialect: each for each in (*other_backs, back)}
        self._api_choice = api_choice
        self.client = client
        self._owns_client = owns_client
        self.limits = limits or TimeLimitRules()
        self.upstreams: list[Upstream] = []
        self._id_prefix = id_prefix
        self._streaming = streaming
        self._kept_state = kept_state
        self.made = made
        self._images = images
        self._foreign_calls = foreign_calls
        self.fetches_images = images is not None
        self._rules = tuple(rules)
        self._defaults_by_model: dict[str, RequestDefaults] = {}
        self._places: dict[str, _Place] = {}
        for number, own in enumerate([headers, *other_keys], start=1):
            for url in urls:
                origin, path = parse_origin(url)
                label = _label(url) if number == 1 else f"{_label(url)}#{number}"
                self.upstreams.append(Upstream(name=label, url=url))
                self._places[label] = _Place(origin, path.encode(), (_JSON, *own), tuple(own))

    def supports(self, operation: Operation) -> bool:
        """Whether the vendor has an endpoint for the operation."""
        has_chat = operation == "chat" and self._api_choice is not None
        return has_chat or self.back.target(operation, None) is not None

    def speaks(self, dialect: str) -> bool:
        """Whether what comes in ``dialect`` is passed through."""
        return dialect in self._backs

    def holds(self, dialect: str) -> frozenset[str]:
        """The state fields of the dialect that its upstreams have."""
        back = self._backs.get(dialect)
        return frozenset() if back is None else back.holds

    def preparation(self, front: Front, body: bytes) -> Awaitable[bytes] | None:
        """Fetch images by URL, if the upstreams do not and it is allowed."""
        if self._images is None or front.operation != "chat" or not mentions_image_url(body):
            return None
        return self._images.inline(body)

    def exchange(
        self,
        front: Front,
        body: bytes,
        summary: RequestSummary,
        model: str,
        wanted: RequestDefaults = NO_DEFAULTS,
    ) -> Exchange:
        """PassThrough where the client speaks this provider's dialect, else Translate; LocalAnswer where
        no upstream needs to be asked."""
        if front.is_relayed:
            return Relay(front, self.back, body, summary, model, self.name)
        defaults = self._defaults_by_model.get(model)
        if defaults is None:
            defaults = self.defaults_for(model)
        if wanted is not NO_DEFAULTS:
            defaults = _bounded(_merge([wanted, defaults]), wanted.max_tokens)
        back, choice = self._backs.get(front.dialect), self._api_choice
        if (
            back is not None
            and (self._streaming or not summary.stream)
            and (not summary.state or back.holds.issuperset(summary.state))
            and (
                self._foreign_calls is None
                or back is self.back
                or summary.state
                or not self._foreign_calls(front, body, model)
            )
            and (
                choice is None
                or back is not self.back
                or model in choice.stays
                or front.operation != "chat"
                or not choice.leaves_chat(body, model)
            )
        ):
            if front.held is not None and self._holds_for(front.held, back):
                body = front.held.body
            return PassThrough(front, back, body, summary, model, defaults, self.name)
        request = front.parse(body)
        if not self.loads_models and (answer := front.answer_load_request(request, model)) is not None:
            return LocalAnswer(front, self.back, model, answer)
        back = self.back
        if choice is not None:
            back, request = choice.choose(front, body, request, model)
        return Translate(
            front,
            back,
            request,
            model,
            defaults,
            self.name,
            stream=summary.stream,
            upstream_stream=summary.stream and self._streaming,
            id_prefix=self._id_prefix,
            kept=self._kept_state,
        )

    def _holds_for(self, held: HeldState, back: Back) -> bool:
        """Whether the upstream is sent a request as it came: it holds what that refers to, or is to begin to.
        Of several upstreams it is not known which one holds something."""
        if held.provider is None:
            return bool(back.holds.intersection(held.fields))
        return held.provider == self.name and len(self.upstreams) == 1

    def defaults_for(self, model: str) -> RequestDefaults:
        """The request defaults for ``model``: every rule that matches, later rules first."""
        defaults = self._defaults_by_model.get(model)
        if defaults is None:
            if len(self._defaults_by_model) > 4096:
                self._defaults_by_model.clear()
            matching = [rule.defaults for rule in self._rules if fnmatchcase(model.lower(), rule.pattern)]
            defaults = self._defaults_by_model[model] = _merge(matching) if matching else NO_DEFAULTS
        return defaults

    def open(
        self,
        exchange: Exchange,
        upstream: Upstream,
        receiver: AnswerReceiver,
        timeouts: AttemptTimeouts | None = None,
    ) -> InFlight:
        """Send the request; the answer flows into ``receiver``."""
        if exchange.complete:
            return _AnsweredLocally(exchange, receiver)
        if timeouts is None:
            timeouts = self.limits.timeouts(exchange.upstream_model)
        chosen = timeouts.stream if exchange.streaming and self._streaming else timeouts.whole
        place = self._places[upstream.name]
        request = UpstreamRequest(
            place.origin,
            exchange.method,
            place.path + exchange.path.encode(),
            place.headers if not exchange.headers else _overlaid(place.headers, exchange.headers),
            exchange.body,
            self.timeouts_to_load(chosen, exchange, upstream) if self.loads_models else chosen,
            0 if exchange.streaming else MAX_WHOLE_BODY,
        )
        sink = _ExchangeSink(exchange, receiver, self)
        in_flight = sink.in_flight = self.client.send(request, sink)
        return in_flight

    def timeouts_for(self, model: str, route: TimeLimits = NO_LIMITS) -> AttemptTimeouts:
        """How long attempts at a model may take."""
        return self.limits.timeouts(model, route)

    def timeouts_to_load(self, timeouts: Timeouts, exchange: Exchange, upstream: Upstream) -> Timeouts:
        """``timeouts``, with the time in it that the upstream may need to load the model."""
        return timeouts

    def attributed(self, error: GatewayError) -> GatewayError:
        """``error`` with this provider's name in it, in the terms that its users know, and of the kind that
        its vendor means by it."""
        if error.provider is None:
            error.provider = self.name
            classify(self.kind, error)
            if isinstance(error, transport.TransportError):  # it knows addresses only
                error.message = f"Provider '{self.name}': {error.message}"
        return error

    def request_to(
        self,
        upstream: Upstream,
        method: str,
        path: str,
        body: bytes | None = None,
        timeouts: Timeouts | None = None,
    ) -> UpstreamRequest:
        """A request beside the data path, such as discovery. ``path`` lies below the provider's base
        address."""
        place = self._places[upstream.name]
        return UpstreamRequest(
            place.origin,
            method.encode(),
            place.path + path.encode(),
            place.headers_of_get if body is None else place.headers,
            body or b"",
            timeouts or self.limits.lookup,
        )

    async def get_json(
        self,
        upstream: Upstream,
        path: str,
        body: bytes | None = None,
        headers: Headers = (),
        timeouts: Timeouts | None = None,
    ) -> Any:
        """A small JSON document from one upstream (GET, or POST of ``body``); ``headers`` go in place of the
        provider's own of that name. Without ``timeouts`` it is a look-up, which asks no model.

        Raises:
            ProviderError: no answer, an error answer, or one that is not JSON.
        """
        request = self.request_to(upstream, "GET" if body is None else "POST", path, body, timeouts)
        sent = _overlaid(request.headers, headers) if headers else request.headers
        try:
            answer = await self.client.fetch(replace(request, headers=sent, max_body=MAX_LISTING))
            if answer.status >= 300:
                raise self.back.read_error(answer.status, answer.headers, answer.body)
            return msgspec.json.decode(answer.body)
        except UNREADABLE as error:
            problem = ProviderError(
                f"{self.name} sent a malformed answer to {path}: {error}", UPSTREAM_PROTOCOL
            )
            raise self.attributed(problem) from None
        except GatewayError as error:
            raise self.attributed(error) from None

    def is_loaded(self, upstream: Upstream, model: str) -> bool:
        """Always true: there is nothing to load."""
        return True

    async def refresh_loaded_models(self, upstream: Upstream) -> None:
        """Do nothing: no model has to be loaded."""

    async def ask_json(self, path: str, body: dict[str, Any] | None) -> dict[str, Any]:
        """Like :meth:`get_json` of the first upstream, for an answer that is an object; a ``body`` asks its
        model, and has the time that a whole answer takes."""
        encoded, timeouts = None, None
        if body is not None:
            encoded = msgspec.json.encode(body)
            timeouts = self.limits.timeouts(str(body.get("model", ""))).whole
        answer = await self.get_json(self.upstreams[0], path, encoded, timeouts=timeouts)
        if not isinstance(answer, dict):
            raise self.attributed(
                ProviderError(f"{self.name} sent no JSON object to {path}", UPSTREAM_PROTOCOL)
            )
        return answer

    async def aclose(self) -> None:
        """Close what is open, unless others use it too."""
        if self._owns_client:
            await self.client.aclose()


class VendorProvider(HttpProvider):
    """A provider that a vendor spec describes."""

    def __init__(
        self,
        name: str,
        spec: VendorSpec,
        urls: Sequence[str],
        *,
        drop: Sequence[str] = (),
        speaks: Sequence[str] | None = None,
        api: ApiName | None = None,
        made: MadeState | None = None,
        images: ImageFetcher | None = None,
        **more: Any,
    ) -> None:
        """``speaks`` are the dialects besides its own, and ``api`` is the API in which chats are asked, where
        they differ from the vendor spec's. ``made`` is what is known of who made which state. ``images``
        fetches images, where the vendor does not."""
        rules = [
            *(Rule(pattern, RequestDefaults(drop=fields)) for pattern, fields in spec.drop.items()),
            *([Rule("*", RequestDefaults(drop=frozenset(drop)))] if drop else []),
            *more.pop("rules", ()),
        ]
        who = spec.title if spec.url else f"Provider '{name}'"
        maker = maker_of(name, spec.kind, urls, made, spec.vendor)
        back = spec.back(who, maker, urls)
        row = responses_row(spec.kind, spec.vendor)
        api = (api or row.api) if spec.quirks is not None else "chat"
        spoken = list(spec.speaks if speaks is None else speaks)
        if "responses" not in spoken and (api == "responses" or (api == "auto" and speaks is None)):
            spoken.append("responses")
        others = other_backs(
            who,
            spoken,
            takes_routing=spec.quirks is not None and spec.quirks.takes_routing,
            maker=maker,
            holds=spec.holds,
            fits=spec.fits if row.fit is None else {"responses": row.fit, **spec.fits},
            responses=row.quirks
            if spec.quirks is None
            else msgspec.structs.replace(row.quirks, profiles=spec.quirks.profiles),
        )
        super().__init__(
            name,
            spec.kind,
            back,
            urls,
            rules=rules,
            id_prefix=spec.id_prefix,
            other_backs=others,
            api_choice=_api_choice(api, back, others),
            kept_state=KeptState(),
            made=made,
            foreign_calls=foreign_calls(rules_for(spec.kind, urls, spec.vendor), maker),
            images=None if spec.quirks is None or spec.quirks.takes_image_addresses else images,
            **more,
        )
        self.spec = spec
        self.has_vendor_ids = spec.vendor_ids
        self.list_path = spec.list_path

    async def fetch_models(self, upstream: Upstream) -> list[ModelInfo]:
        """``GET /models``, and the vendor's other lists, if it has some and they can be had."""
        items = await self._list(upstream, self.spec.list_path)
        for path in self.spec.other_lists:
            with suppress(ProviderError):
                items += await self._list(upstream, path)
        return [self.spec.read_models(item) for item in items if isinstance(item, dict) and item.get("id")]

    async def _list(self, upstream: Upstream, path: str) -> list[Any]:
        listing = await self.get_json(upstream, path)
        items = listing.get("data") if isinstance(listing, dict) else listing
        if not isinstance(items, list):
            problem = ProviderError(f"{self.name} sent a list of models that is none", UPSTREAM_PROTOCOL)
            raise self.attributed(problem)
        return items


def _api_choice(api: ApiName, back: Back, others: Sequence[Back]) -> ApiChoice | None:
    """Who chooses the API of chats; None where the provider's own is always asked."""
    responses = next((each for each in others if isinstance(each, ResponsesBack)), None)
    if api == "chat" or responses is None or not isinstance(back, OpenAIBack):
        return None
    return ApiChoice(back, responses, back.quirks, always=api == "responses")


class _ExchangeSink:
    """Takes an upstream's answer from the transport, through an exchange, to an answer receiver."""

    __slots__ = ("_exchange", "_provider", "_receiver", "in_flight", "progress")

    in_flight: transport.InFlightRequest

    def __init__(self, exchange: Exchange, receiver: AnswerReceiver, provider: HttpProvider) -> None:
        self._exchange = exchange
        self._receiver = receiver
        self._provider = provider
        self.progress = 0

    def on_resend(self) -> None:
        self._receiver.resent()

    def on_head(self, head: transport.ResponseHead) -> None:
        exchange = self._exchange
        if head.status >= 300 or exchange.needs_head:
            exchange.head(head.status, head.headers)

    def on_data(self, data: bytes) -> None:
        exchange = self._exchange
        out = exchange.feed(data)
        self.progress = exchange.progress
        if exchange.error is not None:
            self.in_flight.cancel()
            if out:
                self._receiver.emit(out)
            self._receiver.fail(self._provider.attributed(exchange.error))
        elif exchange.complete:
            self.in_flight.release()
            self._receiver.done(out)
        elif out:
            self._receiver.emit(out)

    def on_end(self) -> None:
        exchange = self._exchange
        out = exchange.finish()
        if exchange.error is None:
            self._receiver.done(out)
            return
        if out:
            self._receiver.emit(out)
        self._receiver.fail(self._provider.attributed(exchange.error))

    def on_failure(self, failure: GatewayError) -> None:
        self._receiver.fail(self._provider.attributed(failure))


class _AnsweredLocally:
    """The in-flight request of an exchange that needs no upstream."""

    sent = False

    def __init__(self, exchange: Exchange, receiver: AnswerReceiver) -> None:
        self._handle = asyncio.get_running_loop().call_soon(receiver.done, exchange.finish())

    def cancel(self) -> None:
        self._handle.cancel()

    def pause(self) -> None: ...

    def resume(self) -> None: ...


def _overlaid(own: Headers, others: Headers) -> list[tuple[bytes, bytes]]:
    """``own`` headers without those of the same name in ``others``, followed by ``others``. A list: it is
    of one request, and not worth being kept encoded."""
    names = {name for name, _ in others}
    return [*(pair for pair in own if pair[0] not in names), *others]


def _merge(defaults: Sequence[RequestDefaults]) -> RequestDefaults:
    """All request defaults in one. Where two of them fill in the same field, the later one wins."""
    options: dict[str, Any] = {}
    fields: dict[str, Any] = {}
    temperature = max_tokens = None
    routing: dict[str, Any] = {}
    drop: frozenset[str] = frozenset()
    for each in defaults:
        options |= each.options
        fields |= each.fields
        routing |= each.routing
        drop |= each.drop
        temperature = each.temperature if each.temperature is not None else temperature
        max_tokens = each.max_tokens if each.max_tokens is not None else max_tokens
    return RequestDefaults(
        temperature=temperature,
        max_tokens=max_tokens,
        options=options,
        fields=fields,
        drop=drop,
        routing=routing,
    )


def _bounded(defaults: RequestDefaults, bound: int | None) -> RequestDefaults:
    """``defaults`` with at most ``bound`` tokens: no more than were reserved."""
    if bound is None or defaults.max_tokens is None or defaults.max_tokens <= bound:
        return defaults
    return msgspec.structs.replace(defaults, max_tokens=bound)


def _label(url: str) -> str:
    """A short name for an address: its host and port."""
    origin, _ = parse_origin(url)
    return origin.authority if origin.port not in (80, 443) else origin.host


def encode_headers(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Header names and values as the wire has them.

    Raises:
        ValueError: a value holds a line break.
    """
    for name, value in headers.items():
        if any(mark in name + value for mark in "\r\n\0"):
            raise ValueError(f"The header {name!r} must not hold a line break")
    return [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in headers.items()]

"""What goes back to an OpenAI-compatible upstream of the thinking and the state in earlier turns.

OpenAI's API has no field for either, so that each vendor has one of its own: ``reasoning_content`` or
``reasoning`` for plain thinking, ``reasoning_details`` for thinking that OpenRouter's vendors have signed,
``extra_content`` at a call for Gemini's signatures. Some insist on having it back, some refuse it. Which
vendor does what is data (:class:`ThoughtRules`); a server that nobody knows gets back what it sent itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any, Final, Literal

import msgspec

from trunkline.dialects.body_patch import BodyPatch
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.vendor_state import MARK, MARK_BYTES, Maker, string_values, unseal
from trunkline.model import Part, Thinking, ToolCall

Body = dict[str, Any]

FIELDS: Final = ("reasoning_content", "reasoning")
"""Fields of plain thinking, in answers and in earlier turns."""
ALL_FIELDS: Final = frozenset({*FIELDS, "reasoning_details", "extra_content"})
"""Every field of an assistant's message, or of its calls, that holds thinking or state."""


_GEMINI: Final = "google-gemini-v1"
"""OpenRouter's name for the signatures that Gemini gives."""


class ThoughtRules(msgspec.Struct, frozen=True, kw_only=True):
    """What one vendor's server takes back."""

    field: str | None = None
    """Where it takes plain thinking; None is the field in which it sent that itself."""
    turns: Literal["never", "own", "calls", "all"] = "own"
    """Which turns' thinking it gets: none; turns with calls whose thinking it sent itself, as far as is
    known; all turns with calls; all turns."""
    insists: bool = False
    """It refuses a turn with calls that lacks the field. One whose thinking is lost gets an empty text."""
    refuses: frozenset[str] = frozenset()
    """Those of ``ALL_FIELDS`` that it refuses, also from its own dialect's clients."""
    takes_thinking_parts: bool = False
    """It takes, and may send, the parts of type ``thinking`` that Mistral has in an assistant's content."""
    missing_signature: str | None = None
    """What stands for the signature of calls that another model made, where the vendor wants one."""
    signed_models: tuple[str, ...] = ("*",)
    """The names of its models that want signatures (``*`` and ``?`` match)."""
    signs_in_details: bool = False
    """Signatures stand among ``reasoning_details``, by the ids of the calls, and not at the calls."""

    def of_model(self, model: str) -> ThoughtRules:
        """Return what this model takes back."""
        if self.missing_signature is None or any(fnmatchcase(model, each) for each in self.signed_models):
            return self
        return msgspec.structs.replace(self, missing_signature=None)


def thinking_fields(parts: Sequence[Part], rules: ThoughtRules, maker: Maker) -> Body:
    """Return the fields of an assistant's message that hold the thinking among its ``parts``."""
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    calls = [part.id for part in parts if isinstance(part, ToolCall)]
    wire: Body = {}
    details: list[Any] = []
    if thoughts and rules.turns != "never":
        wire = _plain(thoughts, bool(calls), rules, maker)
        details = _details(thoughts, maker)
    if rules.signs_in_details:
        details += _missing_details(details, calls, rules)
    if details and "reasoning_details" not in rules.refuses:
        wire["reasoning_details"] = details
    if rules.insists and rules.field and calls:
        wire.setdefault(rules.field, "")
    return wire


def _missing_details(details: Sequence[Any], calls: Sequence[Any], rules: ThoughtRules) -> list[Body]:
    """What stands for the signatures of these calls, if there are none among ``details`` and the vendor wants
    some there."""
    if rules.missing_signature is None or any(map(_is_signature, details)):
        return []
    return [
        {
            "type": "reasoning.encrypted",
            "data": rules.missing_signature,
            "format": _GEMINI,
            "id": call,
            "index": index,
        }
        for index, call in enumerate(calls, start=len(details))
    ]


def _is_signature(detail: Any) -> bool:
    """Whether a detail holds the signature of a call."""
    is_encrypted = isinstance(detail, dict) and detail.get("type") == "reasoning.encrypted"
    return is_encrypted and detail.get("format") in (None, _GEMINI)


def _plain(thoughts: Sequence[Thinking], has_calls: bool, rules: ThoughtRules, maker: Maker) -> Body:
    text = "".join(thought.text for thought in thoughts)
    if not text or (rules.turns != "all" and not has_calls):
        return {}
    field = rules.field
    if rules.turns == "own":
        field = _sent_field(thoughts, maker)
    return {} if field is None or field in rules.refuses else {field: text}


def _sent_field(thoughts: Sequence[Thinking], maker: Maker) -> str | None:
    """The field in which this vendor sent these thoughts. Thoughts whose maker is not told count as its own
    if it is known to send some."""
    sealed = [thought.signature for thought in thoughts if thought.signature]
    for state in sealed:
        own = maker.open(state, "field", "details")
        if own is not None and own.form == "field" and own.data in FIELDS:
            return own.data
    has_details = any(maker.open(state, "details") for state in sealed)
    return maker.thinking_field if has_details or not sealed else None


def _details(thoughts: Sequence[Thinking], maker: Maker) -> list[Any]:
    details: list[Any] = []
    for thought in thoughts:
        own = maker.open(thought.signature, "details")
        if own is not None:
            details += _decode_list(own.data)
    return details


def _decode_list(data: str) -> list[Any]:
    try:
        found = msgspec.json.decode(data)
    except UNREADABLE:
        return []
    return found if isinstance(found, list) else []


def call_fields(call: ToolCall, is_first: bool, rules: ThoughtRules, maker: Maker) -> Body:
    """Return the fields of a call that hold its state.

    Args:
        call: The call.
        is_first: It is the first of its turn. Gemini signs only that one.
        rules: What the vendor takes.
        maker: The vendor.
    """
    if "extra_content" in rules.refuses:
        return {}
    own = maker.open(call.state, "extra")
    if own is not None:
        try:
            return {"extra_content": msgspec.json.decode(own.data)}
        except UNREADABLE:
            pass
    return _placeholder(rules) if is_first and rules.missing_signature is not None else {}


def _placeholder(rules: ThoughtRules) -> Body:
    """The field of a call that stands for its signature, where the vendor wants that at the call."""
    if rules.missing_signature is None or rules.signs_in_details:
        return {}
    return {"extra_content": {"google": {"thought_signature": rules.missing_signature}}}


class DetailFold:
    """The ``reasoning_details`` of one choice: the pieces of a stream, put together again."""

    __slots__ = ("_details",)

    def __init__(self) -> None:
        self._details: list[Body] = []

    def add(self, pieces: Any) -> None:
        """Take in the field of one chunk. What has no form that is known is left out."""
        if isinstance(pieces, list):
            for piece in pieces:
                if isinstance(piece, dict):
                    self._add(piece)

    def _add(self, piece: Body) -> None:
        last = self._details[-1] if self._details else None
        same = last is not None and all(last.get(key) == piece.get(key) for key in ("type", "index"))
        if last is None or not same or (piece.get("id") and last.get("id") not in (None, piece["id"])):
            self._details.append(dict(piece))
            return
        for key, value in piece.items():
            before = last.get(key)
            if key in ("text", "summary", "data") and isinstance(before, str) and isinstance(value, str):
                last[key] = before + value
            elif value is not None:
                last[key] = value

    def take(self) -> str | None:
        """Return the details so far as JSON, and forget them; None if there are none."""
        details, self._details = self._details, []
        return msgspec.json.encode(details).decode() if details else None


_CLAUDE: Final = "anthropic-claude-v1"
"""OpenRouter's name for thinking that Claude has signed."""
_CLAUDES: Final = (_CLAUDE, None, "unknown")


def write_detail(text: str, state: str, index: int) -> list[Body]:
    """Return a thought with its state as ``reasoning_details``, which clients send back unchanged. The ``id``
    says who made it and what it is."""
    sealed = unseal(state)
    if sealed is None:
        return [_detail("text", {"text": text, "signature": state}, None, index)]
    if sealed.form == "details":
        return [each for each in _decode_list(sealed.data) if isinstance(each, dict)]
    origin: str | None = f"{MARK}{sealed.maker}:{sealed.form}"
    if sealed.form in ("redacted", "encrypted"):
        return [_detail("encrypted", {"data": sealed.data}, origin, index)]
    if sealed.form == "field":
        return []  # the field itself is there
    if sealed.maker == "anthropic":
        origin = None  # its format says it
    return [_detail("text", {"text": text, "signature": sealed.data}, origin, index)]


def _detail(kind: str, fields: Body, origin: str | None, index: int) -> Body:
    named = {} if origin is None else {"id": origin}
    detail: Body = {"type": f"reasoning.{kind}", **fields}
    return detail | {"format": _CLAUDE, "index": index} | named


def read_details(details: Any) -> list[Thinking]:
    """Return the thoughts of an earlier turn that came as ``reasoning_details``, with their state."""
    thoughts: list[Thinking] = []
    for detail in details if isinstance(details, list) else ():
        if not isinstance(detail, dict):
            continue
        kind, origin = detail.get("type"), detail.get("id")
        state = detail.get("signature") if kind == "reasoning.text" else detail.get("data")
        text = detail.get("text") if kind == "reasoning.text" else ""
        if not isinstance(state, str) or not state or kind not in ("reasoning.text", "reasoning.encrypted"):
            continue
        if isinstance(origin, str) and origin.startswith(MARK):
            state = f"{origin}:{state}"
        elif kind != "reasoning.text" or detail.get("format", _CLAUDE) not in _CLAUDES:
            continue  # only whoever made it can say what it is
        thoughts.append(Thinking(text=text if isinstance(text, str) else "", signature=state))
    return thoughts


def write_call_state(state: str) -> Body:
    """Return the field of a call that holds its state; none where it is of another form."""
    sealed = unseal(state)
    if sealed is None or sealed.form != "extra":
        return {}
    return {"extra_content": msgspec.Raw(sealed.data.encode())}


_SIGNATURE: Final = re.compile(rb'"thought_signature"\s*:\s*"([^"\\]*)"')
_TEXT_NEEDLES: Final = (b'"reasoning":"', b'"reasoning": "')


def needles(rules: ThoughtRules) -> tuple[bytes, ...]:
    """Return the pieces of a client's body, one of which it has in it if it may hold what the vendor does not
    take. ``reasoning`` is a setting, too; as thinking it is a text."""
    found = [MARK_BYTES]
    for field in sorted(rules.refuses):
        found += _TEXT_NEEDLES if field == "reasoning" else [b'"%b"' % field.encode()]
    if not rules.takes_thinking_parts:
        found.append(b'"thinking"')
    wants_more = rules.insists or rules.missing_signature is not None
    found.append(b'"tool_calls"' if wants_more else b'"thought_signature"')
    return tuple(found)


def made_state(answer: bytes) -> Iterator[str]:
    """Return the signatures of calls in an answer."""
    return (state for state in string_values(answer, _SIGNATURE) if state)


_decode_messages: Final = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_any: Final = msgspec.json.Decoder().decode
_encode: Final = msgspec.json.Encoder().encode


def keep_taken_thoughts(body: bytes, rules: ThoughtRules, maker: Maker, model: str = "") -> bytes:
    """Return a client's body with only that thinking and state in its messages which ``model`` takes;
    ``body`` itself if that is all."""
    rules = rules.of_model(model)
    wanted = needles(rules)
    if not any(needle in body for needle in wanted):
        return body
    try:
        patch = BodyPatch(body)
        messages = _decode_messages(patch.raw("messages"))
        kept = [_kept(message, rules, maker, wanted) for message in messages]
    except (*UNREADABLE, ValueError):  # the upstream says what is wrong
        return body
    if kept == messages:
        return body
    patch.changes["messages"] = kept
    return patch.encode()


def _kept(raw: msgspec.Raw, rules: ThoughtRules, maker: Maker, wanted: Sequence[bytes]) -> msgspec.Raw:
    data = bytes(raw)
    if b'"assistant"' not in data or not any(needle in data for needle in wanted):
        return raw
    message = _decode_any(raw)
    if not isinstance(message, dict) or message.get("role") != "assistant":
        return raw
    before = _encode(message)
    _move_thinking(message, rules)
    if isinstance(details := message.get("reasoning_details"), list):
        own = [each for each in details if not _is_foreign(each, maker)]
        if own or not details:
            message["reasoning_details"] = own
        else:
            del message["reasoning_details"]
    for name in rules.refuses:
        message.pop(name, None)
    content = message.get("content")
    if isinstance(content, list) and not rules.takes_thinking_parts:
        kept = [part for part in content if not (isinstance(part, dict) and part.get("type") == "thinking")]
        message["content"] = kept or (None if message.get("tool_calls") else "")
    found = message.get("tool_calls")
    calls = [call for call in found if isinstance(call, dict)] if isinstance(found, list) else []
    for number, call in enumerate(calls):
        _keep_call_state(call, number == 0, rules, maker)
    given = message.get("reasoning_details") or []
    if rules.signs_in_details and isinstance(given, list):
        missing = _missing_details(given, [call.get("id") for call in calls], rules)
        if missing:
            message["reasoning_details"] = given + missing
    if rules.insists and rules.field and calls and not isinstance(message.get(rules.field), str):
        message[rules.field] = ""
    after = _encode(message)
    return raw if after == before else msgspec.Raw(after)


def _move_thinking(message: Body, rules: ThoughtRules) -> None:
    """Plain thinking moves to the field that the vendor has for it, if it refuses the client's."""
    if rules.field is None or rules.field in rules.refuses or message.get(rules.field):
        return
    for name in FIELDS:
        text = message.get(name)
        if name in rules.refuses and isinstance(text, str) and text:
            message[rules.field] = text
            return


def _is_foreign(detail: Any, maker: Maker) -> bool:
    """Whether a detail was written here for another vendor's thinking."""
    origin = detail.get("id") if isinstance(detail, dict) else None
    return isinstance(origin, str) and origin.startswith(MARK) and maker.open(f"{origin}:", "details") is None


def _keep_call_state(call: Body, is_first: bool, rules: ThoughtRules, maker: Maker) -> None:
    extra = call.get("extra_content")
    if extra is not None and any(maker.is_others(state) for state in made_state(_encode(extra))):
        del call["extra_content"]
    if "extra_content" in rules.refuses:
        call.pop("extra_content", None)
    elif (
        is_first and not call.get("extra_content") and rules.missing_signature and not rules.signs_in_details
    ):
        call["extra_content"] = {"google": {"thought_signature": rules.missing_signature}}

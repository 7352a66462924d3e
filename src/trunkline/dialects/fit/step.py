"""The fit step: changes in a body what its upstream would refuse although the meaning is plain.

A body that fits is recognised by a type: it decodes into a struct that only bodies which fit decode into.
That costs one call, and nothing is built. Any other body is looked through field by field. What was changed
is noted by its path, and never by its text.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatchcase
from keyword import iskeyword
from typing import Annotated, Any, ClassVar, Literal

import msgspec

from trunkline.dialects.base import Fitted
from trunkline.dialects.body_patch import BodyPatch
from trunkline.dialects.error_envelope import UNREADABLE
from trunkline.dialects.fit.names import fit_names
from trunkline.dialects.fit.rules import FitRules, NameRule, SchemaRule
from trunkline.dialects.fit.schemas import TOP, fit_schema
from trunkline.errors import CallerError

Object = dict[str, Any]


class DialectFitStep(ABC):
    """The fit step of one dialect with one vendor's rules; satisfies ``dialects.base.FitStep``.

    Args:
        rules: What the vendor refuses.
    """

    stop_field: ClassVar[str]
    """The field with the stop sequences."""
    schema_field: ClassVar[str]
    """The field of a tool's spec that has the schema of its arguments."""

    def __init__(self, rules: FitRules) -> None:
        self.rules = rules
        self.decode: Callable[[bytes], object] = msgspec.json.Decoder(self.fitting_type()).decode
        """Raises one of ``UNREADABLE`` for a body that may not fit."""

    @abstractmethod
    def fitting_type(self) -> Any:
        """Return a type that a body which needs no change decodes into."""

    @abstractmethod
    def restore(self, record: Any, names: Mapping[str, str]) -> bool:
        """Give the tools in an answer's record the client's names again."""

    @abstractmethod
    def _tool_specs(self, body: Draft) -> Iterator[tuple[str, Object]]:
        """Each of the functions that the model may call: its path, and the object that has its name."""

    @abstractmethod
    def _named(self, body: Draft) -> Iterator[tuple[str, Object]]:
        """Everything else that has a tool's name in the field ``name``."""

    @abstractmethod
    def _ids(self, body: Draft) -> Iterator[tuple[str, Object, str]]:
        """Everything that has the id of a tool call: its path, the object, and the field's name."""

    @abstractmethod
    def _fit_messages(self, body: Draft) -> None:
        """Change what is in messages, besides names and ids."""

    @abstractmethod
    def _fit_answer_schema(self, body: Draft) -> None:
        """Change the schema that the answer is to fit."""

    def fit(self, data: bytes, model: str) -> Fitted | None:
        """Return ``data`` changed into a body that fits ``model``; None if nothing is to be changed."""
        try:
            body = Draft(data)
        except CallerError:  # not this step's to tell
            return None
        name = model.lower().rpartition("/")[2]
        try:
            self._fit_fields(body, name)
            self._fit_stops(body)
            self._fit_tools(body)
            self._fit_answer_schema(body)
            self._fit_messages(body)
            self._fit_ids(body)
            names = self._fit_names(body)
        except UNREADABLE:
            return None
        if not body.changes:
            return None
        return Fitted(body.encode(), tuple(body.changes), names, self.restore)

    def _fit_fields(self, body: Draft, model: str) -> None:
        rules = self.rules
        for pattern, renamed in rules.renamed.items():
            if fnmatchcase(model, pattern):
                for old, new in renamed.items():
                    body.rename(old, new)
        for rule in rules.values:
            if _matches(model, rule.models) and rule.field in body:
                value = body.value(rule.field)
                known = rule.values.get(value) if isinstance(value, str) else None
                if known is not None and known != {rule.field: value}:
                    body.replace(rule.field, known)
                elif known is None and not rule.others:
                    body.drop(rule.field)
        if rules.forced_tool is not None and "tools" in body and _is_forced(body.value("tool_choice")):
            for name, value in rules.forced_tool.items():
                if name not in body or body.value(name) != value:
                    body.put(name, value)
            if "reasoning_effort" in body and rules.forced_tool:
                body.drop("reasoning_effort")
        for pattern, refused in rules.refused.items():
            if fnmatchcase(model, pattern):
                for name in sorted(refused & body.sent):
                    body.drop(name)
        for pair in rules.exclusive:
            if pair.kept in body and pair.left_out in body and _matches(model, pair.models):
                body.drop(pair.left_out)
        for name, bounds in rules.ranges.items():
            value = body.value(name) if name in body else None
            if isinstance(value, int | float) and not bounds.least <= value <= bounds.most:
                body.put(name, min(max(value, bounds.least), bounds.most))

    def _fit_stops(self, body: Draft) -> None:
        most, name = self.rules.most_stops, self.stop_field
        stops = body.value(name) if most is not None and name in body else None
        if isinstance(stops, list) and len(stops) > (most or 0):
            body.put(name, stops[:most], f"{name}: the first {most} of {len(stops)}")

    def _fit_tools(self, body: Draft) -> None:
        """Change the schemas of tools, and leave out fields that are refused in a tool."""
        rules, field = self.rules, self.schema_field
        for path, spec in self._tool_specs(body):
            for name in sorted(rules.refused_in_tools & spec.keys()):
                del spec[name]
                body.note(f"-{path}.{name}")
            rule = rules.answer_schema if spec.get("strict") is True else None
            for each in (rules.tool_schema, rule):
                if each is not None:
                    self._fit_schema(body, spec, field, f"{path}.{field}", each)

    def _fit_schema(self, body: Draft, owner: Object, field: str, path: str, rule: SchemaRule) -> None:
        schema = owner.get(field)
        if isinstance(schema, dict) and (fitted := fit_schema(schema, rule)) != schema:
            owner[field] = fitted
            body.note(path)

    def _fit_names(self, body: Draft) -> Mapping[str, str]:
        rule = self.rules.tool_names
        if rule is None:
            return {}
        found = [(path, each, "name") for path, each in (*self._tool_specs(body), *self._named(body))]
        new = _fit_all(body, found, rule)
        return {sent: name for name, sent in new.items()}

    def _fit_ids(self, body: Draft) -> None:
        if self.rules.call_ids is not None:
            _fit_all(body, self._ids(body), self.rules.call_ids)


class Draft:
    """A body while it is changed. What nobody asks for is copied as the client wrote it.

    Raises:
        CallerError: The body is not a JSON object.
    """

    def __init__(self, data: bytes) -> None:
        self._patch = BodyPatch(data)
        self._values: Object = {}
        """Decoded values. They may be changed in place; ``_changed`` names those that were."""
        self._changed: set[str] = set()
        self._removed: set[str] = set()
        self.changes: list[str] = []
        self.names = {name for name, raw in self._patch.fields.items() if bytes(raw) != b"null"}
        """The fields that it has, but for those that are null."""

    @property
    def sent(self) -> set[str]:
        """The fields that it has, also those that are null."""
        return self.names | (self._patch.fields.keys() - self._removed)

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def value(self, name: str) -> Any:
        """Return a field's value; None if there is none. Whoever changes it calls ``note`` with its path."""
        if name not in self._values:
            self._values[name] = msgspec.json.decode(self._patch.raw(name))
        return self._values[name]

    def note(self, path: str) -> None:
        """Note that something below the field with which ``path`` begins was changed, or left out (``-``)."""
        self._changed.add(path.removeprefix("-").partition(".")[0].partition("[")[0])
        self.changes.append(path)

    def put(self, name: str, value: Any, note: str | None = None) -> None:
        """Set a field."""
        self._values[name] = value
        self.names.add(name)
        self._changed.add(name)
        self.changes.append(note or name)

    def drop(self, name: str) -> None:
        """Leave a field out."""
        self._remove(name)
        self.changes.append(f"-{name}")

    def rename(self, old: str, new: str) -> None:
        """Send a field under another name; if that is there already, the old one is left out."""
        if old not in self.sent:
            return
        value, is_null = self.value(old), old not in self.names
        self._remove(old)
        if is_null or new in self.names:
            self.changes.append(f"-{old}")
        else:
            self.put(new, value, f"{old} as {new}")

    def replace(self, name: str, fields: Mapping[str, Any]) -> None:
        """Send ``fields`` in place of a field."""
        self._remove(name)
        for each, value in fields.items():
            self._values[each] = value
            self.names.add(each)
            self._changed.add(each)
        self.changes.append(name)

    def _remove(self, name: str) -> None:
        self.names.discard(name)
        self._changed.discard(name)
        self._values.pop(name, None)
        self._removed.add(name)
        self._patch.drop((name,))

    def encode(self) -> bytes:
        """Return the changed body. The draft cannot be used afterwards."""
        for name in self._changed:
            self._patch.changes[name] = self._values[name]
        return self._patch.result()


ABSENT = Literal["\0"]
"""The type of a field that must not be there, not even as null."""


def absent(names: Iterable[str]) -> list[tuple[str, Any, Any]]:
    """Return the fields of a fitting type that must not be there."""
    return [
        (_identifier(name), ABSENT, msgspec.field(default=msgspec.UNSET, name=name)) for name in sorted(names)
    ]


def _identifier(name: str) -> str:
    """A name that an attribute may have: ``not`` and ``$ref`` are none."""
    return name if name.isidentifier() and not iskeyword(name) else f"no_{name.removeprefix('$')}"


def matching(rule: NameRule | None) -> Any:
    """Return the type of a name, or an id, that fits ``rule``."""
    return str if rule is None else Annotated[str, msgspec.Meta(pattern=rule.pattern)]


def fitting_schema(rule: SchemaRule | None) -> Any:
    """Return the type of a tool's schema that needs no change. Only the top of a schema is looked at."""
    if rule is None:
        return Any
    if rule.closed or rule.typed or rule.takes is not None or rule.lacks or rule.formats is not None:
        return None
    fields: list[tuple[str, Any, Any] | tuple[str, Any]] = [("properties", msgspec.Raw)]
    if rule.flat_top:
        fields += [("type", Literal["object"]), *absent(TOP)]
    return msgspec.defstruct("FittingSchema", fields, kw_only=True) | None


def fitting_fields(rules: FitRules, stop_field: str) -> list[tuple[str, Any, Any]]:
    """Return the fields at the top of a fitting type that every dialect has."""
    dropped = {name for names in rules.refused.values() for name in names}
    dropped |= {name for names in rules.renamed.values() for name in names}
    suspicious = {rule.field for rule in rules.values} | {pair.left_out for pair in rules.exclusive}
    fields = absent(dropped) + [(name, None, None) for name in sorted(suspicious - dropped)]
    known = dropped | suspicious
    for name, bounds in rules.ranges.items():
        if name not in known:
            number = Annotated[float, msgspec.Meta(ge=bounds.least, le=bounds.most)]
            fields.append((name, number | None, None))
    if rules.most_stops is not None and stop_field not in known:
        stops = Annotated[list[str], msgspec.Meta(max_length=rules.most_stops)]
        fields.append((stop_field, stops | str | None, None))
    if rules.forced_tool is not None and "tool_choice" not in known:
        fields.append(("tool_choice", Literal["auto", "none"] | None, None))
    return fields


def objects(value: Any, path: str) -> Iterator[tuple[str, Object]]:
    """Each object of a list, with its path."""
    if isinstance(value, list):
        for number, each in enumerate(value):
            if isinstance(each, dict):
                yield f"{path}[{number}]", each


def _matches(model: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(model, pattern) for pattern in patterns)


def _is_forced(choice: Any) -> bool:
    """Whether a ``tool_choice`` forces a call."""
    if isinstance(choice, dict):
        return choice.get("type") not in ("auto", "none")
    return choice in ("required", "any")


def _fit_all(body: Draft, found: Iterable[tuple[str, Object, str]], rule: NameRule) -> dict[str, str]:
    """Make all that was ``found`` fit; return what was changed, by what it was."""
    places = [(path, each, field) for path, each, field in found if isinstance(each.get(field), str)]
    new = fit_names((each[field] for _, each, field in places), rule)
    for path, each, field in places if new else ():
        name = each[field]
        if name in new:
            each[field] = new[name]
            body.note(f"{path}.{field}")
    return new

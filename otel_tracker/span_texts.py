"""Spans as the texts that a local store writes, without a record in between: an exporter spends most of its time there.

`SpanTexts` makes of nearly every span what `otel_tracker.recording` and a JSON encoder would make of it, field for
field. It leaves the rare ones to them: failed spans, links, values that are no scalars, whatever is not as capture
writes it. Recurring keys, names and short texts are encoded once; what our own capture wrote on a span that nobody
else has written on is neither redacted nor parsed again.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring
from typing import TYPE_CHECKING, Any, NamedTuple

from otel_tracker import attributes as keys
from otel_tracker.captured_texts import Member, StrangeError, captured_reader, scalar_text
from otel_tracker.from_otel import from_json
from otel_tracker.recording import event_fields, resource_fields
from otel_tracker.records import INT64_MAX, INT64_MIN, Labels, Texts
from otel_tracker.redaction import redactor
from otel_tracker.timestamps import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from opentelemetry.sdk.trace import Event, ReadableSpan
    from opentelemetry.trace import SpanKind, Status

    from otel_tracker.captured_texts import Reader
    from otel_tracker.redaction import Redactor

_SHORT = 128  # of a text that is remembered
_MAX_REMEMBERED = 4_096
_MAX_READERS = 1_024  # of a kilobyte and a half each
_MAX_READERS_EACH = 16  # of a function: an argument that is a number or None makes two
_SIGHTINGS = 32  # of spans without a reader, before one is made: that takes about as long as to do without, so often

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False).encode

_ATTRIBUTES, _ARGUMENTS, _RESULT, _FUNCTION, _MODULE, _NOWHERE = range(6)
_ROLES = {
    keys.RESULT: (_RESULT, "", False),
    keys.RESULT_JSON: (_RESULT, "", True),
    keys.CODE_FUNCTION_NAME: (_FUNCTION, "", True),
    keys.MODULE: (_MODULE, "", True),
}
"""Where the value of a key goes, what stands before it, and whether it is taken as it is."""


_NAMES = (keys.CODE_FUNCTION_NAME, keys.MODULE)
Parts = tuple[Any, Any, str, Any, "Mapping[str, Any]", "int | None", "int | None", Any, Any, Any, Any, Any, Any]
"""Context, parent, name, kind, attributes, start, end, status, events, links, scope and resource; and where a span's
attributes are just as capture wrote them, else None: those of them that all spans of its function have. A span that has
a method ``parts`` hands them over in one call; to ask for each is a fifth of what a line costs."""

_Label = tuple[str, str, str]
_Role = tuple[int, str, bool]
_SETTLED: _Role = _NOWHERE, "", False
"""Of a key whose value is one of the function's labels."""


class _Memory(NamedTuple):
    """What recurs: the role of each key, and the JSON of each short text."""

    roles: dict[str, _Role]
    texts: dict[str, str]


class _Function:
    """What all spans of a function have in common, and how their arguments are read.

    ``read`` is the reader that fitted last, ``seen`` how many spans had none; ``memory`` knows the static attributes.
    """

    __slots__ = ("kind", "labels", "memory", "name", "read", "readers", "seen", "static")

    def __init__(self, static: Mapping[str, Any], name: str, kind: SpanKind, labels: Labels, memory: _Memory) -> None:
        self.static = static
        self.name = name
        self.kind = kind
        self.labels = labels
        self.memory = memory
        self.read: Reader = _fits_none
        self.readers: dict[tuple[str, ...], Reader] = {}
        self.seen = 0


def _fits_none(attributes: Mapping[str, Any]) -> None:
    """The reader of a function that has none."""


class SpanTexts:
    """Makes `Texts`; used by one exporter, on one thread at a time."""

    def __init__(self) -> None:
        self._redacting = redactor()
        self._captured = _Memory({}, {})
        self._foreign = _Memory({}, {})
        self._labels: dict[_Label, tuple[SpanKind, Labels]] = {}
        self._functions: dict[int, _Function] = {}
        self._readers = 0
        self._status: object = None
        self._code = ""
        self._resource: object = None
        self._resource_fields: Mapping[str, Any] = {}
        self._scope: object = None
        self._scope_name = ""

    def renew(self) -> None:
        """Forget what was found harmless when the settings have been read again; to be called before each batch."""
        redact = redactor()
        if redact is not self._redacting:
            self._forget(redact)

    def of(self, span: ReadableSpan) -> Texts | None:
        """The texts of a span, or None for one that is to become a record. May raise what reading a span raises."""
        own_parts = getattr(span, "parts", None)
        parts: Parts = parts_of(span) if own_parts is None else own_parts()
        context, parent, name, kind, attributes, start_ns, end_ns, status, events, links, scope, resource, static = (
            parts
        )
        if status is not self._status:
            self._status, self._code = status, _code_of(status)
        if links or end_ns is None or start_ns is None or context is None or not self._code:
            return None
        try:
            if static is None:
                rest, members, results, function, module = self._members(_plain(attributes), self._foreign)
                labels, own = self._labels_of(name, kind, function, module), ",".join(rest)
                arguments, result = ",".join(members), results[0] if results else None
            else:
                known = self._functions.get(id(static))
                if known is None or known.static is not static or known.name != name or known.kind is not kind:
                    known = self._new_function(static, name, kind)
                labels, own = known.labels, ""
                arguments, result = known.read(attributes) or self._captured_members(attributes, known)
        except StrangeError:
            return None
        if resource is not self._resource or scope is not self._scope:
            self._resource, self._resource_fields = resource, resource_fields(resource)
            self._scope, self._scope_name = scope, "" if scope is None else scope.name
        return (
            context[0],  # by position, since the names are properties and a call costs as much as a look into a dict
            context[1],
            0 if parent is None else parent[1],
            labels,
            start_ns,
            end_ns,
            arguments,
            result,
            own,
            ",".join([self._event(event) for event in events]) if events else "",
            self._code,
            self._scope_name,
            self._resource_fields,
        )

    def _new_function(self, static: Mapping[str, Any], name: str, kind: SpanKind) -> _Function:
        """What the static attributes of a function come to."""
        rest, _, _, function, module = self._members(static, self._captured)
        labels = self._labels_of(name, kind, function, module)._replace(attributes=",".join(rest))
        if len(self._functions) >= _MAX_REMEMBERED:
            self._forget_functions()
        memory = _Memory(dict.fromkeys(static, _SETTLED), self._captured.texts)
        known = self._functions[id(static)] = _Function(static, name, kind, labels, memory)
        return known

    def _captured_members(self, attributes: Mapping[str, Any], known: _Function) -> tuple[str, str | None]:
        """Arguments and result where the reader that fitted last does not fit; of what is often there, one is made."""
        known.read = known.readers.get(tuple(attributes), known.read)
        found = known.read(attributes)
        if found is not None:
            return found
        rest, arguments, results, _, _ = self._members(attributes, known.memory)
        if rest:  # somebody has reached into the span, past its methods
            raise StrangeError
        known.seen += 1
        if known.seen >= _SIGHTINGS and len(known.readers) < _MAX_READERS_EACH and self._readers < _MAX_READERS:
            self._readers += 1
            known.read = known.readers[tuple(attributes)] = self._new_reader(attributes, known.memory.roles)
        return ",".join(arguments), results[0] if results else None

    def _new_reader(self, attributes: Mapping[str, Any], roles: dict[str, _Role]) -> Reader:
        """A reader for spans of a function whose attributes have these keys."""
        members = []
        for key, value in attributes.items():
            place, label, is_json = roles.get(key) or self._new_role(key, roles)
            if place in (_ARGUMENTS, _RESULT):
                members.append(Member(key, label, is_json, value))
        return captured_reader(tuple(attributes), members)

    def _members(self, attributes: Mapping[str, Any], memory: _Memory) -> tuple[list[str], ...]:
        """The encoded attributes, arguments and result; as they are, the names of function and module."""
        roles, texts = memory
        is_captured = texts is self._captured.texts
        members: tuple[list[str], ...] = ([], [], [], [], [])
        for key, value in attributes.items():
            role = roles.get(key) or self._new_role(key, roles)
            if role is _SETTLED:
                continue
            place, name, is_taken = role
            kind = type(value)
            if kind is str:
                if is_taken:
                    text = value if is_captured else self._checked(key, value)
                else:
                    text = (texts.get(value) if len(value) <= _SHORT else None) or self._new_text(value, texts)
                members[place].append(name + text)
            elif is_taken:
                raise StrangeError
            elif kind is int and INT64_MIN <= value <= INT64_MAX:
                members[place].append(f"{name}{value}")
            else:
                members[place].append(name + scalar_text(value))
        if len(members[_RESULT]) > 1:
            raise StrangeError
        return members

    def _event(self, event: Event) -> str:
        """An event of the span as JSON; one with other attributes than scalars through its record's fields."""
        try:
            members = self._members(_plain(event.attributes), self._foreign)
            if members[_ARGUMENTS] or members[_RESULT] or members[_FUNCTION] or members[_MODULE]:
                raise StrangeError
        except StrangeError:
            return _encode(event_fields(event, self._redacting))
        inside = f',"attributes":{{{",".join(members[_ATTRIBUTES])}}}' if members[_ATTRIBUTES] else ""
        return f'{{"name":{encode_basestring(event.name)},"time":"{format_time(event.timestamp)}"{inside}}}'

    def _new_role(self, key: str, roles: dict[str, _Role]) -> _Role:
        if key == keys.RECORD or type(key) is not str:
            raise StrangeError
        if roles is self._foreign.roles and self._redacting.is_secret_key(key):
            raise StrangeError
        if len(roles) >= _MAX_REMEMBERED:
            settled = dict.fromkeys((known for known in roles if roles[known] is _SETTLED), _SETTLED)
            roles.clear()
            roles.update(settled)
        roles[key] = role = _ROLES.get(key) or _role_of(key)
        return role

    def _new_text(self, value: str, texts: dict[str, str]) -> str:
        """JSON of a text; of one that capture has not written, without secrets."""
        text = encode_basestring(value if texts is self._captured.texts else self._redacting.text(value))
        if len(value) <= _SHORT:
            if len(texts) >= _MAX_REMEMBERED:
                texts.clear()
            texts[value] = text
        return text

    def _checked(self, key: str, value: str) -> str:
        """JSON text, or a name, that somebody else may have written."""
        redacted = self._redacting.mapping({key: value})[key]
        return redacted if key in _NAMES else _encode(from_json(redacted))

    def _labels_of(self, name: str, kind: SpanKind, function: list[str], module: list[str]) -> Labels:
        label = name, function[0] if function else "", module[0] if module else ""
        known = self._labels.get(label)
        if known is not None and known[0] is kind:
            return known[1]
        if len(self._labels) >= _MAX_REMEMBERED:
            self._labels.clear()
        shown = self._redacting.text(name), kind.name.lower(), _function_in(*label[1:]), label[2]
        labels = Labels(*shown)
        self._labels[label] = kind, labels
        return labels

    def _forget(self, redact: Redactor) -> None:
        self._redacting = redact
        for memory in (self._captured, self._foreign):
            memory.roles.clear()
            memory.texts.clear()
        self._labels.clear()
        self._forget_functions()
        self._resource, self._resource_fields = None, {}

    def _forget_functions(self) -> None:
        self._functions.clear()
        self._readers = 0


def _plain(attributes: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """The same, as a dict: to go through the SDK's own mapping takes as long as to encode what it holds."""
    copied = getattr(attributes, "copy", None)
    return (attributes or {}) if copied is None else copied()


def parts_of(span: ReadableSpan) -> Parts:
    """The parts of a span that is not ours."""
    return (
        span.context,
        span.parent,
        span.name,
        span.kind,
        span.attributes or {},
        span.start_time,
        span.end_time,
        span.status,
        span.events,
        span.links,
        span.instrumentation_scope,
        span.resource,
        None,
    )


def _code_of(status: Status) -> str:
    """The status code of a span that is not strange for it, else nothing."""
    code = status.status_code.name
    return "" if code == "ERROR" or status.description else code


def _role_of(key: str) -> _Role:
    for prefix, is_taken in ((keys.ARGS_PREFIX, False), (keys.ARGS_JSON_PREFIX, True)):
        if key.startswith(prefix):
            return _ARGUMENTS, f"{encode_basestring(key[len(prefix) :])}:", is_taken
    return _ATTRIBUTES, f"{encode_basestring(key)}:", False


def _function_in(full_name: str, module: str) -> str:
    """The qualified name inside the module; a span whose names do not fit each other is a strange one."""
    if not (full_name or module):
        return ""
    function = full_name.removeprefix(f"{module}.")
    if not module or not function or function == full_name:
        raise StrangeError
    return function

"""One trace as a tree: what called what, how long it took, with which arguments, and why it failed.

Works on whatever a store holds: spans whose parent is missing stand at the top, parents that form a ring are
cut open, and what is nested deeper than a screen can show continues at the deepest level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text
from rich.tree import Tree

from otel_tracker import attributes as keys
from otel_tracker.cli.tables import event_details, log_message, milliseconds, moment, severity_text, status_text
from otel_tracker.cli.text import compact, shortened, visible, visible_lines
from otel_tracker.records import COMPLETED, FAILED, EventRecord, LogRecord, SpanRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAX_DEPTH = 12
_MAX_VALUE_LENGTH = 200
_TRACEBACK_LINES = 3
_POINTERS = frozenset(" ^~")


def trace_tree(spans: Sequence[SpanRecord], events: Iterable[EventRecord | LogRecord] = ()) -> Tree:
    """The tree of one trace's spans, oldest first, each event and log below the span that it happened in."""
    tree = Tree(_heading(spans), guide_style="dim")
    events_of = _events_by_span(events)
    shown_failures = _deepest_failures(spans)
    children = _children(spans)
    placed: set[str] = set()
    pending = [(span, tree, 1) for span in reversed(_roots(spans))]
    while pending:
        span, above, depth = pending.pop()
        if span.span_id in placed:
            continue  # a ring of parents closes here
        placed.add(span.span_id)
        branch = above.add(_span_text(span, shows_traceback=span.span_id in shown_failures))
        for event in events_of.pop(span.span_id, ()):
            branch.add(_event_text(event))
        below = branch if depth < _MAX_DEPTH else above
        pending.extend((child, below, depth + 1) for child in reversed(children.pop(span.span_id, [])))
    for event in (event for left in events_of.values() for event in left):
        tree.add(_event_text(event))
    return tree


def traceback_tail(traceback: str) -> list[str]:
    """The last lines of a traceback: where it was raised, and the exception."""
    lines = [line for line in visible_lines(traceback) if set(line) - _POINTERS]
    return lines[-_TRACEBACK_LINES:]


def _heading(spans: Sequence[SpanRecord]) -> Text:
    count = f"{len(spans)} span{'' if len(spans) == 1 else 's'}"
    begun = moment(spans[0].start_ns).plain
    return Text.assemble("trace ", (visible(spans[0].trace_id), "bold"), f"  {begun} UTC  {count}")


def _roots(spans: Sequence[SpanRecord]) -> list[SpanRecord]:
    """Where the tree begins: spans without a known parent, then one span of each ring of parents."""
    known = {span.span_id for span in spans}
    roots = [span for span in spans if span.parent_span_id not in known]
    children = _children(spans)
    reached = _reached(roots, children)
    for span in spans:
        if span.span_id not in reached:
            roots.append(span)
            reached |= _reached([span], children)
    return roots


def _reached(roots: Iterable[SpanRecord], children: dict[str, list[SpanRecord]]) -> set[str]:
    reached: set[str] = set()
    pending = [span.span_id for span in roots]
    while pending:
        span_id = pending.pop()
        if span_id not in reached:
            reached.add(span_id)
            pending.extend(child.span_id for child in children.get(span_id, ()))
    return reached


def _children(spans: Iterable[SpanRecord]) -> dict[str, list[SpanRecord]]:
    children: dict[str, list[SpanRecord]] = {}
    for span in spans:
        children.setdefault(span.parent_span_id, []).append(span)
    return children


def _events_by_span(events: Iterable[EventRecord | LogRecord]) -> dict[str, list[EventRecord | LogRecord]]:
    by_span: dict[str, list[EventRecord | LogRecord]] = {}
    for event in sorted(events, key=lambda event: event.time_ns):
        by_span.setdefault(event.span_id, []).append(event)
    return by_span


def _deepest_failures(spans: Sequence[SpanRecord]) -> set[str]:
    """The failed spans below which the same error does not show again: they print the traceback."""
    errors = {span.span_id: (span.error.get("type"), span.error.get("message")) for span in spans if span.error}
    above = {span.parent_span_id for span in spans if errors.get(span.span_id) == errors.get(span.parent_span_id)}
    return set(errors) - above


def _span_text(span: SpanRecord, *, shows_traceback: bool) -> Text:
    """A span's line, and below it what is known about it."""
    lines = [_title(span)]
    if span.args:
        arguments = ", ".join(
            f"{visible(str(name))}={shortened(compact(value), _MAX_VALUE_LENGTH)}" for name, value in span.args.items()
        )
        lines.append(Text(f"args: {arguments}", style="cyan"))
    if span.has_result:
        lines.append(Text(f"result: {shortened(compact(span.result), _MAX_VALUE_LENGTH)}", style="cyan"))
    if span.error:
        lines.extend(_error_lines(span, shows_traceback=shows_traceback))
    return Text("\n").join(lines)


def _title(span: SpanRecord) -> Text:
    title = Text.assemble((visible(span.qualified_name), "bold"), "  ", milliseconds(span.duration_ms), " ms")
    code = span.attributes.get(keys.HTTP_RESPONSE_STATUS_CODE)
    if code is not None:
        title.append(f"  HTTP {visible(str(code))}")
    if span.status != COMPLETED:
        title.append("  ").append_text(status_text(span.status))
    return title


def _error_lines(span: SpanRecord, *, shows_traceback: bool) -> list[Text]:
    kind, message = span.error.get("type", "error"), span.error.get("message", "")
    sentence = visible(f"{kind}: {message}" if message else kind)
    tail = traceback_tail(span.error.get("traceback", "")) if shows_traceback else []
    if tail[-1:] == [sentence]:
        tail.pop()  # the same is said above it, in colour
    style = "red" if span.status == FAILED else "yellow"
    return [
        Text(shortened(sentence, _MAX_VALUE_LENGTH), style=style),
        *(Text(shortened(line, _MAX_VALUE_LENGTH), style="dim") for line in tail),
    ]


def _event_text(event: EventRecord | LogRecord) -> Text:
    if isinstance(event, LogRecord):
        return _log_text(event)
    details = shortened(event_details(event), _MAX_VALUE_LENGTH)
    return Text.assemble(("* ", "magenta"), (visible(event.name), "magenta"), f"  {details}" if details else "")


def _log_text(log: LogRecord) -> Text:
    text = Text("- ").append_text(severity_text(log))
    for part in filter(None, (visible(log.logger), shortened(log_message(log), _MAX_VALUE_LENGTH))):
        text.append(f"  {part}")
    return text

"""The tables, indexes and views of a SQLite store, and the version that they bear.

Users' own SQL stands on the views `executions`, `events`, `logs` and `metrics`: their columns are the keys of the
records' JSON, in the same order, NULL where a key is absent. Ids are lower-case hex, times are UTC text with nine
decimals, ``duration_ms`` and what metric points measured are numbers, and ``args``, ``result``, ``error``,
``attributes``, ``events``, ``links``, ``properties``, ``body``, ``buckets``, ``exponential``, ``quantiles``,
``exemplars`` and ``resource`` are JSON text. ``"end"`` is a word of SQL's own and wants its quotes.

The tables underneath may change with `SCHEMA_VERSION`; `MIGRATIONS` leads older files up to it. Ids are binary and
functions and resources are stored once, because random keys and repeated text are what makes a large file slow. A row
of ``functions`` also holds what most spans of a function share: kind, status code, scope and attributes. A span with an
empty text for attributes, which is no JSON, has all four from there; any other has its own. So a function has several
rows when its spans differ in that.

Each index answers a query: newest first, one function newest first (with all that statistics read), one trace, and the
same for events, logs and metric points. The few spans that are not completed have one of their own, for failures and
for statistics. Nothing that was stored with a resource is newer than its ``last_ns``: it is not used any more when all
that there is is. That is NULL, and the resource is kept, where an older version stored it.

The ids of spans, events, logs and metric points tell in which order they were stored, and are never used twice: what
follows a store remembers the last one that it saw. ``marks`` keeps what must outlive the rows:
- ``span_floor``, ``event_floor``, ``log_floor``, ``metric_floor``: ids at or below were used, even where no row bears
  them any more;
- ``generation``: raised when rows of ``functions`` or ``resources`` are removed, whose ids a writer may remember;
- ``store``: a random number, by which a file that took another's place is told from it (0 in a migrated file);
- ``keeper``: until when (nanoseconds since the epoch) one process has taken it on itself to remove what is too old.
"""

from __future__ import annotations

APPLICATION_ID = 0x4F54_544B
"""``OTTK``: says that a SQLite file is a store of ours; https://www.sqlite.org/pragma.html#pragma_application_id."""

SCHEMA_VERSION = 5
"""Kept as ``PRAGMA user_version``; a file with a higher one is neither read nor written."""

SHARING_VERSION = 3
"""From this version on spans share what their row of ``functions`` holds; readers take older files as they are."""

LOGS_VERSION = 4
"""From this version on there is a table of logs."""

METRICS_VERSION = 5
"""From this version on there is a table of metric points."""


def _time_text(column: str) -> str:
    """SQL for nanoseconds as RFC 3339 text; SQLite divides towards zero, and before 1970 we need the floor."""
    nanoseconds = f"((({column}) % 1000000000 + 1000000000) % 1000000000)"
    seconds = f"(({column} - {nanoseconds}) / 1000000000)"
    return f"strftime('%Y-%m-%dT%H:%M:%S', {seconds}, 'unixepoch') || printf('.%09dZ', {nanoseconds})"


def shared(column: str) -> str:
    """SQL for what a span ``s`` has itself or from its row ``f`` of the functions."""
    return f"CASE WHEN s.attributes = '' THEN f.{column} ELSE s.{column} END"


_FUNCTIONS = """(
        id INTEGER PRIMARY KEY,
        module TEXT NOT NULL,
        function TEXT NOT NULL,
        name TEXT NOT NULL,
        kind TEXT NOT NULL DEFAULT '',
        status_code TEXT NOT NULL DEFAULT '',
        scope TEXT NOT NULL DEFAULT '',
        attributes TEXT NOT NULL DEFAULT '',
        UNIQUE (module, function, name, kind, status_code, scope, attributes)
    )
    """

_LOGS_TABLE = """
    CREATE TABLE stored_logs (
        id INTEGER PRIMARY KEY,
        logger TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        severity TEXT NOT NULL,
        trace_id BLOB,
        span_id BLOB,
        attributes TEXT,
        body TEXT,
        error TEXT,
        resource_id INTEGER REFERENCES resources (id)
    )
    """

# A value keeps the type in which it was measured: its column has none. The numbers of histograms are floats.
_METRICS_TABLE = """
    CREATE TABLE stored_metrics (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        kind TEXT NOT NULL,
        unit TEXT NOT NULL,
        description TEXT NOT NULL,
        start_ns INTEGER,
        attributes TEXT,
        value,
        count INTEGER,
        sum REAL,
        min REAL,
        max REAL,
        buckets TEXT,
        exponential TEXT,
        quantiles TEXT,
        temporality TEXT NOT NULL,
        exemplars TEXT,
        scope TEXT NOT NULL,
        resource_id INTEGER REFERENCES resources (id)
    )
    """

_TABLES = (
    f"CREATE TABLE functions {_FUNCTIONS}",
    "CREATE TABLE resources (id INTEGER PRIMARY KEY, attributes TEXT NOT NULL UNIQUE, last_ns INTEGER)",
    """
    CREATE TABLE stored_spans (
        id INTEGER PRIMARY KEY,
        trace_id BLOB NOT NULL,
        span_id BLOB NOT NULL,
        parent_span_id BLOB,
        function_id INTEGER NOT NULL REFERENCES functions (id),
        kind TEXT NOT NULL,
        status TEXT NOT NULL,
        start_ns INTEGER NOT NULL,
        end_ns INTEGER,
        args TEXT,
        result TEXT,
        error TEXT,
        attributes TEXT,
        events TEXT,
        links TEXT,
        status_code TEXT NOT NULL,
        status_message TEXT NOT NULL,
        scope TEXT NOT NULL,
        resource_id INTEGER REFERENCES resources (id),
        UNIQUE (trace_id, span_id)
    )
    """,
    """
    CREATE TABLE stored_events (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL,
        time_ns INTEGER NOT NULL,
        severity TEXT NOT NULL,
        trace_id BLOB,
        span_id BLOB,
        properties TEXT,
        body TEXT,
        error TEXT,
        resource_id INTEGER REFERENCES resources (id)
    )
    """,
    _LOGS_TABLE,
    _METRICS_TABLE,
)

_MARKS = "CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL)"
_FIRST_MARKS = "INSERT INTO marks VALUES ('span_floor', 0), ('event_floor', 0), ('generation', 0), ('keeper', 0)"

_FIRST_LOG_MARK = "INSERT INTO marks VALUES ('log_floor', 0)"

_FIRST_METRIC_MARK = "INSERT INTO marks VALUES ('metric_floor', 0)"

_RESOURCES_BY_LAST = "CREATE INDEX resources_by_last ON resources (last_ns)"

_LOG_INDEXES = (
    "CREATE INDEX logs_by_time ON stored_logs (time_ns)",
    "CREATE INDEX logs_by_logger ON stored_logs (logger, time_ns)",
    "CREATE INDEX logs_by_trace ON stored_logs (trace_id) WHERE trace_id IS NOT NULL",
)

_METRIC_INDEXES = (
    "CREATE INDEX metrics_by_time ON stored_metrics (time_ns)",
    "CREATE INDEX metrics_by_name ON stored_metrics (name, time_ns)",
)

_INDEXES = (
    "CREATE INDEX spans_by_start ON stored_spans (start_ns)",
    "CREATE INDEX spans_by_function ON stored_spans (function_id, start_ns, end_ns, status)",
    "CREATE INDEX spans_not_completed ON stored_spans (function_id, status, start_ns) WHERE status <> 'completed'",
    "CREATE INDEX events_by_time ON stored_events (time_ns)",
    "CREATE INDEX events_by_name ON stored_events (name, time_ns)",
    "CREATE INDEX events_by_trace ON stored_events (trace_id) WHERE trace_id IS NOT NULL",
    _RESOURCES_BY_LAST,
    *_LOG_INDEXES,
    *_METRIC_INDEXES,
)

_EXECUTIONS = f"""
    CREATE VIEW executions AS SELECT
        lower(hex(s.trace_id)) AS trace_id,
        lower(hex(s.span_id)) AS span_id,
        CASE WHEN s.parent_span_id IS NOT NULL THEN lower(hex(s.parent_span_id)) END AS parent_span_id,
        f.name AS name,
        {shared("kind")} AS kind,
        nullif(f.function, '') AS function,
        nullif(f.module, '') AS module,
        s.status AS status,
        {_time_text("s.start_ns")} AS start,
        {_time_text("s.end_ns")} AS "end",
        (s.end_ns - s.start_ns) / 1000000.0 AS duration_ms,
        s.args AS args,
        s.result AS result,
        s.error AS error,
        nullif({shared("attributes")}, '') AS attributes,
        s.events AS events,
        s.links AS links,
        {shared("status_code")} AS status_code,
        nullif(s.status_message, '') AS status_message,
        nullif({shared("scope")}, '') AS scope,
        r.attributes AS resource
    FROM stored_spans AS s
    LEFT JOIN functions AS f ON f.id = s.function_id
    LEFT JOIN resources AS r ON r.id = s.resource_id
    """  # noqa: S608

_EVENTS = f"""
    CREATE VIEW events AS SELECT
        e.name AS name,
        CASE instr(e.name, '.') WHEN 0 THEN e.name ELSE substr(e.name, 1, instr(e.name, '.') - 1) END AS category,
        e.severity AS severity,
        {_time_text("e.time_ns")} AS time,
        CASE WHEN e.trace_id IS NOT NULL THEN lower(hex(e.trace_id)) END AS trace_id,
        CASE WHEN e.span_id IS NOT NULL THEN lower(hex(e.span_id)) END AS span_id,
        e.properties AS properties,
        e.body AS body,
        e.error AS error,
        r.attributes AS resource
    FROM stored_events AS e
    LEFT JOIN resources AS r ON r.id = e.resource_id
    """  # noqa: S608

_LOGS = f"""
    CREATE VIEW logs AS SELECT
        nullif(l.severity, '') AS severity,
        l.body AS body,
        nullif(l.logger, '') AS logger,
        {_time_text("l.time_ns")} AS time,
        CASE WHEN l.trace_id IS NOT NULL THEN lower(hex(l.trace_id)) END AS trace_id,
        CASE WHEN l.span_id IS NOT NULL THEN lower(hex(l.span_id)) END AS span_id,
        l.attributes AS attributes,
        l.error AS error,
        r.attributes AS resource
    FROM stored_logs AS l
    LEFT JOIN resources AS r ON r.id = l.resource_id
    """  # noqa: S608

_METRICS = f"""
    CREATE VIEW metrics AS SELECT
        m.name AS name,
        m.kind AS kind,
        nullif(m.unit, '') AS unit,
        nullif(m.description, '') AS description,
        {_time_text("m.start_ns")} AS start,
        {_time_text("m.time_ns")} AS time,
        m.attributes AS attributes,
        m.value AS value,
        m.count AS count,
        m.sum AS sum,
        m.min AS min,
        m.max AS max,
        m.buckets AS buckets,
        m.exponential AS exponential,
        m.quantiles AS quantiles,
        nullif(m.temporality, '') AS temporality,
        m.exemplars AS exemplars,
        nullif(m.scope, '') AS scope,
        r.attributes AS resource
    FROM stored_metrics AS m
    LEFT JOIN resources AS r ON r.id = m.resource_id
    """  # noqa: S608

CREATE_STATEMENTS = (
    *_TABLES,
    _MARKS,
    _FIRST_MARKS,
    _FIRST_LOG_MARK,
    _FIRST_METRIC_MARK,
    "INSERT INTO marks VALUES ('store', random())",
    *_INDEXES,
    _EXECUTIONS,
    _EVENTS,
    _LOGS,
    _METRICS,
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)

MIGRATIONS: dict[int, tuple[str, ...]] = {
    1: (_MARKS, _FIRST_MARKS, "INSERT INTO marks VALUES ('store', 0)"),
    2: (
        "DROP VIEW IF EXISTS executions",
        f"CREATE TABLE new_functions {_FUNCTIONS}",
        "INSERT INTO new_functions (id, module, function, name) SELECT id, module, function, name FROM functions",
        "DROP TABLE functions",
        "ALTER TABLE new_functions RENAME TO functions",
        "ALTER TABLE resources ADD COLUMN last_ns INTEGER",
        _RESOURCES_BY_LAST,
        "DROP INDEX IF EXISTS spans_by_resource",
        "DROP INDEX IF EXISTS events_by_resource",
        _EXECUTIONS,
    ),
    3: (_LOGS_TABLE, *_LOG_INDEXES, _FIRST_LOG_MARK, _LOGS),
    4: (_METRICS_TABLE, *_METRIC_INDEXES, _FIRST_METRIC_MARK, _METRICS),
}
"""What makes a file of the next version of one of this version. No step may rebuild a table of spans or events or an
index on one: a file of a gigabyte is migrated while other processes wait for it."""

"""Which library an upstream instrumentor waits for: the table that says when each of them is activated.

Importing an instrumentor imports its library, so that a program would pay for every framework that is installed. One
that stands here waits until the program imports the library itself. Any other is activated at the start: that costs
time, but an instrumentor that waits for the wrong module would never be active.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint

DJANGO = "opentelemetry.instrumentation.django"
"""The only one that needs more than its library: see `otel_tracker.django_middleware`."""

# The same name in another package may mean another library.
_NAMESPACE = "opentelemetry.instrumentation."

# From the name of the instrumentor to the module that begins the use of its library. Not here, because waiting gains
# nothing or is wrong: threading and logging (always imported), system_metrics (no library), aws-lambda (patches the
# handler that the environment names).
_TRIGGERS = {
    "aio-pika": "aio_pika",
    "aiohttp-client": "aiohttp",
    "aiohttp-server": "aiohttp",
    "aiokafka": "aiokafka",
    "aiopg": "aiopg",
    "anthropic": "anthropic",
    "asyncclick": "asyncclick",
    "asyncio": "asyncio",
    "asyncpg": "asyncpg",
    "boto": "boto",
    "boto3": "boto3",
    "botocore": "botocore",
    "cassandra": "cassandra",
    "celery": "celery",
    "click": "click",
    "confluent_kafka": "confluent_kafka",
    "django": "django.core.handlers.base",
    "elasticsearch": "elasticsearch",
    "falcon": "falcon",
    "fastapi": "fastapi",
    "flask": "flask",
    "google-genai": "google.genai",
    "grpc_aio_client": "grpc",
    "grpc_aio_server": "grpc",
    "grpc_client": "grpc",
    "grpc_server": "grpc",
    "httpx": "httpx",
    "httpx2": "httpx2",
    "jinja2": "jinja2",
    "kafka": "kafka",
    "mysql": "mysql.connector",
    "mysqlclient": "MySQLdb",
    "openai": "openai",
    "pika": "pika",
    "psycopg": "psycopg",
    "psycopg2": "psycopg2",
    "pymemcache": "pymemcache",
    "pymongo": "pymongo",
    "pymssql": "pymssql",
    "pymysql": "pymysql",
    "pyramid": "pyramid",
    "redis": "redis",
    "remoulade": "remoulade",
    "requests": "requests",
    "sqlalchemy": "sqlalchemy",
    "sqlite3": "sqlite3",
    "starlette": "starlette.applications",
    "tornado": "tornado",
    "tortoiseorm": "tortoise",
    "urllib": "urllib.request",
    "urllib3": "urllib3",
}


def trigger_of(entry_point: EntryPoint) -> str | None:
    """The module whose import activates the instrumentor; None for one that is activated at the start."""
    return _TRIGGERS.get(entry_point.name) if entry_point.module.startswith(_NAMESPACE) else None

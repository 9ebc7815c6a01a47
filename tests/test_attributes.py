"""Attribute keys are the semantic conventions' own, ours share one prefix, and none is typed out elsewhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.semconv._incubating.attributes import (
    deployment_attributes,
    enduser_attributes,
    session_attributes,
    telemetry_attributes,
    user_attributes,
)
from opentelemetry.semconv._incubating.attributes import http_attributes as earlier_http_attributes
from opentelemetry.semconv.attributes import (
    client_attributes,
    code_attributes,
    error_attributes,
    exception_attributes,
    http_attributes,
    server_attributes,
    service_attributes,
    url_attributes,
    user_agent_attributes,
)

import otel_tracker
import otel_tracker_exporters
from otel_tracker import attributes as keys

CONVENTIONS = {
    "CODE_FUNCTION_NAME": code_attributes.CODE_FUNCTION_NAME,
    "CODE_FILE_PATH": code_attributes.CODE_FILE_PATH,
    "CODE_LINE_NUMBER": code_attributes.CODE_LINE_NUMBER,
    "ERROR_TYPE": error_attributes.ERROR_TYPE,
    "EXCEPTION_TYPE": exception_attributes.EXCEPTION_TYPE,
    "EXCEPTION_MESSAGE": exception_attributes.EXCEPTION_MESSAGE,
    "EXCEPTION_STACKTRACE": exception_attributes.EXCEPTION_STACKTRACE,
    "TELEMETRY_DISTRO_NAME": telemetry_attributes.TELEMETRY_DISTRO_NAME,
    "TELEMETRY_DISTRO_VERSION": telemetry_attributes.TELEMETRY_DISTRO_VERSION,
    "SERVICE_NAME": service_attributes.SERVICE_NAME,
    "SERVICE_INSTANCE_ID": service_attributes.SERVICE_INSTANCE_ID,
    "HTTP_REQUEST_METHOD": http_attributes.HTTP_REQUEST_METHOD,
    "HTTP_RESPONSE_STATUS_CODE": http_attributes.HTTP_RESPONSE_STATUS_CODE,
    "HTTP_ROUTE": http_attributes.HTTP_ROUTE,
    "URL_PATH": url_attributes.URL_PATH,
    "URL_QUERY": url_attributes.URL_QUERY,
    "SERVER_ADDRESS": server_attributes.SERVER_ADDRESS,
    "CLIENT_ADDRESS": client_attributes.CLIENT_ADDRESS,
    "USER_AGENT_ORIGINAL": user_agent_attributes.USER_AGENT_ORIGINAL,
    "HTTP_REQUEST_HEADER": http_attributes.HTTP_REQUEST_HEADER_TEMPLATE,
    "HTTP_REQUEST_REFERER": f"{http_attributes.HTTP_REQUEST_HEADER_TEMPLATE}.referer",
    "HTTP_REQUEST_LANGUAGE": f"{http_attributes.HTTP_REQUEST_HEADER_TEMPLATE}.accept-language",
    "HTTP_METHOD": earlier_http_attributes.HTTP_METHOD,
    "HTTP_TARGET": earlier_http_attributes.HTTP_TARGET,
    "HTTP_USER_AGENT": earlier_http_attributes.HTTP_USER_AGENT,
    "HTTP_CLIENT_IP": earlier_http_attributes.HTTP_CLIENT_IP,
    "USER_ID": user_attributes.USER_ID,
    "ENDUSER_ID": enduser_attributes.ENDUSER_ID,
    "SESSION_ID": session_attributes.SESSION_ID,
    "DEPLOYMENT_ENVIRONMENT_NAME": deployment_attributes.DEPLOYMENT_ENVIRONMENT_NAME,
    "METRIC_OVERFLOW": "otel.metric.overflow",  # specification: "Metrics SDK", overflow attribute; it has no constant
}
NO_KEYS = {"PREFIX", "SCOPE", "OUTCOME_CLOSED", "OUTCOME_CANCELLED", "EXCEPTION_EVENT", "OTHER_ERROR_TYPE"}
"""What stands in the table without being a key: parts of keys, values of keys, the name of an event."""

TABLE = {name: value for name, value in vars(keys).items() if name.isupper()}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_key_is_the_semantic_conventions_own(name: str) -> None:
    """The literal in our table equals the constant of `opentelemetry.semconv`."""
    assert TABLE[name] == CONVENTIONS[name]


def test_every_other_key_has_our_prefix() -> None:
    """Nothing that we invent can collide with a convention that comes later."""
    ours = {name: value for name, value in TABLE.items() if name not in CONVENTIONS and name not in NO_KEYS}
    assert ours
    assert all(value.startswith(keys.PREFIX) for value in ours.values()), ours
    assert len(set(TABLE.values())) == len(TABLE)


def test_no_key_is_typed_out_anywhere_else() -> None:
    """A key that is written twice is misspelt once."""
    known = {value for name, value in TABLE.items() if name not in NO_KEYS}
    found = [f"{path.name}:{line} {text}" for path, line, text in _literals() if text in known]
    assert found == []


def _literals() -> Iterator[tuple[Path, int, str]]:
    """Every text in the package's code but docstrings, which quote keys for people."""
    for package in (otel_tracker, otel_tracker_exporters):
        for path in Path(package.__path__[0]).rglob("*.py"):
            if path.name == "attributes.py" or "examples" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield path, node.lineno, node.value

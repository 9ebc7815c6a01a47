"""Under the launcher: by name, by route, and as `OTEL_CONFIG_FILE` names exporters and their options."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from support import launch_script

from .server import WEBSITE, serving

pytest.importorskip("httpx", reason="the umami extra is not installed")

PROGRAM = """
from otel_tracker import span, track
with span("checkout.pay"):
    track("order.placed", total=9.5)
with span("other"):
    pass
"""
CONFIG_FILE = """
file_format: "1.0"
tracer_provider:
  processors:
    - batch:
        exporter:
          otel_tracker_umami: {endpoint: "%(url)s", website_id: %(website)s, spans: ["checkout.*"], timeout_s: 10}
logger_provider:
  processors:
    - batch:
        exporter:
          otel_tracker_umami: {endpoint: "%(url)s", website_id: %(website)s, at_least_once: true}
"""


def test_launched_program_sends_its_events() -> None:
    """Two variables beside the name of the destination; the end of the program delivers."""
    with serving() as server:
        ended = launch_script(
            PROGRAM,
            OTEL_TRACES_EXPORTER="umami",
            OTEL_TRACKER_UMAMI_ENDPOINT=server.url,
            OTEL_TRACKER_UMAMI_WEBSITE_ID=WEBSITE,
            OTEL_TRACKER_UMAMI_SPANS="checkout.*",
            OTEL_TRACKER_DELIVERY_EXIT_TIMEOUT_S="20",
        )
        assert (ended.status, ended.stderr) == (0, "")
        assert sorted(name or "" for name in server.names) == ["checkout.pay", "order.placed"]
        positions = range(len(server.database.events))
        assert len({server.database.properties_of(position)["span_id"] for position in positions}) == 1


@pytest.mark.skipif(
    importlib.util.find_spec("opentelemetry.configuration") is None, reason="needs opentelemetry.configuration"
)
def test_declarative_configuration_takes_the_exporters_and_their_options() -> None:
    """Each option is a key; the SDK's own batch processors stand in front."""
    with serving() as server:
        Path("otel.yaml").write_text(CONFIG_FILE % {"url": server.url, "website": WEBSITE}, encoding="utf-8")
        ended = launch_script(PROGRAM, OTEL_CONFIG_FILE="otel.yaml")
        assert (ended.status, ended.stderr) == (0, "")
        assert sorted(name or "" for name in server.names) == ["checkout.pay", "order.placed"]

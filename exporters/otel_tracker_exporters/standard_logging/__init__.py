"""The destination ``logging``: events as records of the standard library's logging."""

from otel_tracker_exporters.standard_logging.exporter import LoggingLogExporter as LoggingLogExporter

"""A small real web shop in Flask that otel-tracker traces: see README.md beside this file."""

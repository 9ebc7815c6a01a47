"""A chat of rooms in FastAPI that otel-tracker traces: see README.md beside this file."""

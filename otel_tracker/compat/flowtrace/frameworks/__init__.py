"""FlowTrace's names for web frameworks, on `otel_tracker.frameworks`: one module each."""

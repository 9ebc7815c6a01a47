"""The stores that come with otel-tracker, one folder a destination.

Each folder holds an exporter *and* its reader, is registered by entry points, imports nothing of its
neighbours, and passes the one contract suite in ``tests/stores``. The core never imports this package.
"""

"""Contract tests of `traced`, `span` and `track`: what arrives at a real exporter, form by form."""

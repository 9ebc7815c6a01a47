"""`ProcessTracker`: what its records, spans and events say, form by form."""

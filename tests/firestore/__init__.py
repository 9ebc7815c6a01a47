"""The `firestore` store: what is special about it. Its contract is in `tests/stores`."""

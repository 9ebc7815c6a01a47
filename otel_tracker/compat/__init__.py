"""The names of the tools that this one replaces, as thin adapters: one module each."""

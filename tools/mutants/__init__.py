"""The tables, broken in every small way: which check notices? `python -m tools.mutants`."""

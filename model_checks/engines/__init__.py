"""Independent engines over one transition system; they must agree on states and verdicts."""

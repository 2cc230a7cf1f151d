"""Is the protocol safe and live: models that depend on ``spec`` only, never on the node."""

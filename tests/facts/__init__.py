"""Does anything notice when a fact, an input or a message is wrong? ``python -m tests.facts``."""

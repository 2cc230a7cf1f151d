"""What the protocol is: pure data that an auditor reads from top to bottom."""

"""Custody, pure: the coins of the shared key, what is owed, and the one transaction that pays it.

Nothing here opens a socket or a file or reads a clock. The same inputs give the same bytes on every
node, which is what lets peers rebuild a payout and compare instead of trusting each other.
"""

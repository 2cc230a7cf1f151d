"""The node: one member of a network that holds one key together and pays deposits out of it.

Reading order: ``spec`` says what the protocol is, ``metanode.protocol`` runs it without any I/O,
``metanode.runtime`` gives it sockets, clock and disk, ``metanode.cli`` is what an operator types.
"""

__version__ = "0.1.0"

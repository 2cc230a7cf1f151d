"""Makes files of ``spec/vectors``: `python -m tools.vectors [--check]`.

``ecdsa_edge_cases.json`` are edge cases of ECDSA on secp256k1, from formulas. The standard library
only, with arithmetic of its own, so that the cases owe nothing to the libraries that they are there
to judge. Whether a case is valid follows from how it is made; no verifier is asked.

``threshold_ecdsa.json`` are the messages of ``metanode.tss`` (``threshold.py``).
"""

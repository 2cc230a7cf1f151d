"""Pages that show the protocol and what the model checks say of it, to read offline.

``python -m model_checks report`` writes them: a start page with the weakest evidence first, one
page a subject with its networks, sizes and counterexamples, the tables with a chart of each, the
findings, and the limits. Nothing is loaded from outside; the one program on them is the search.
"""

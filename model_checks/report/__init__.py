"""One HTML file that shows the protocol and what the model checks say of it, to read offline.

``python -m model_checks.report`` writes it: the tables with a chart of each, every property with
every engine that looked at it, the findings with their counterexamples, and the limits. The file
loads nothing from outside and runs no script.
"""

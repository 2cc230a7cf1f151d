"""A local page to look at a model, or at the traces of nodes, state by state.

``server`` serves it on the loopback address, to whoever has the token of its address.
``model_view`` and ``trace_view`` answer what the page asks; they keep nothing between two
questions: a question names the whole run, so that back, restart and another run are all the same.
"""

"""Lemmas: what is true besides, written down because a proof by induction needs it."""

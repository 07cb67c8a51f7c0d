"""Scores of one posterior: evidence, cross-validation, hold-out, and what hangs on the priors."""

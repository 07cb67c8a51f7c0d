"""What is asked of one posterior: predictions, allocations, derived quantities, identifiability, scores."""

"""From predictions to honest numbers: `evaluate.evaluate` makes Table 1 of them."""

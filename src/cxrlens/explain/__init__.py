"""What a network looked at, and what its units look for."""

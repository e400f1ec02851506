"""Training: one loop, resumable."""

"""What a network looked at: attribution maps of one image, and pictures of what its units like."""

"""Images with their labels: sources, decoding, sides, augmentation."""

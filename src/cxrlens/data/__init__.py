"""Images with their labels: data sources, decoding, splits and augmentation."""

"""Lung regions, from the first of these sources that can be used: masks, boxes, a segmenter of the user, a fallback."""

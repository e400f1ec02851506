"""Where the lungs are: masks, boxes, a segmenter of the user, or a labelled fallback, in this order."""

"""Explanations: attribution maps of images, and pictures that maximise the activation of a unit."""

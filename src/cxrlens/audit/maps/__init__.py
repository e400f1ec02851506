"""Tests of attribution maps: whether they depend on the weights, and whether they mark what changes the logit."""

"""Pretrained weights: what they are (`cards`), where they lie and how they are loaded whole or not at all (`store`)."""

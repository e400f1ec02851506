"""Keras' default start: Glorot-uniform kernels and zero biases (Glorot and Bengio 2010)."""

from __future__ import annotations

from torch import nn


def glorot(module: nn.Module) -> None:
    """Draws the weights of one convolution or dense layer; use as `network.apply(glorot)`."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)

"""A study small enough to run in a test."""

from __future__ import annotations

STUDY = """
name = "tiny"
seeds = [0, 1]

[data]
source = "phantom"
patients = 16
images_per_patient = [1, 2]
size = 64
seed = 3

[images]
size = 64
interpolation = "bilinear"

[split]
validation = 0.4

[augment]
horizontal_flip = true

[training]
batch = 8
epochs = 2

[explain]
figures = []
gallery = false

[[models]]
name = "small network"
backbone = "tf_efficientnet_lite0"
trained = "all"
head = "linear"

[[models]]
name = "frozen network"
backbone = "tf_efficientnet_lite0"
weights = "efficientnet-lite0-imagenet"
trained = "head"
head = "linear"
paper = { auc = 0.7, positives = 79, negatives = 17 }

[[models]]
name = "out of reach"
backbone = "densenet121"
weights = "chexnet"
"""

"""CPU seconds of a map of an image and of an iteration of activation maximization: cxrlens against tf-keras-vis.

    python benchmarks/maps.py [--only grad_cam saliency activation_maximization_iteration] [--repeats 6]

VGG16 with the paper's head and random weights, one image of 224 pixels, both sides in turn. A map is what a user gets:
with its enlargement to the image's size. Iterations are those of the preset `keras-vis` and of tf-keras-vis' defaults
(jitter and rotation, total variation and a norm, RMSprop).
"""

from __future__ import annotations

import argparse
from contextlib import suppress
from typing import Any

import torch
from peers import Enough, Peer, Turns, in_turn, median, one_thread, row
from record import record

from cxrlens.explain.activation_maximization import PRESETS, Objective, maximize
from cxrlens.explain.attribute import attribute
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from cxrlens.train.device import choose_device

METHODS = ("grad_cam", "saliency")
ITERATION = "activation_maximization_iteration"


def network(architecture: str, size: int, seed: int = 0) -> Classifier:
    """The paper's network of a frozen architecture, with random weights."""
    model = build_classifier(ModelOptions(name=architecture, backbone=architecture, trained="head"), size, seed)
    return choose_device("cpu").place(model.eval())


def attribution(method: str, size: int, repeats: int) -> dict[str, Any]:
    """A row of the results: one method's map of one image."""
    model, image = network("vgg16", size), torch.rand(1, 1, size, size)
    with Peer({"kind": "map", "architecture": "vgg16", "method": method, "size": size}) as peer:
        ours = in_turn(lambda: attribute(model, image, method).enlarged(), peer, repeats)
        return row(method, median(ours), median(peer.seconds), "CPU s an image", peer.versions)


def iteration(architecture: str, preset: str, size: int, repeats: int) -> dict[str, Any]:
    """A row of the results: one iteration of one picture."""
    objective = Objective.logit()
    with Peer({"kind": "activation_maximization", "architecture": architecture, "size": size}) as peer:
        turns = Turns(repeats, f"maximizing {objective.title}", peer)
        with suppress(Enough):
            maximize(network(architecture, size), objective, PRESETS[preset], progress=turns)
        return row(ITERATION, median(turns.seconds), median(peer.seconds), "CPU s an iteration", peer.versions)


def main() -> None:
    """Measures, prints and records the rows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--only", nargs="+", default=[*METHODS, ITERATION], choices=[*METHODS, ITERATION])
    parser.add_argument("--repeats", type=int, default=6)
    asked = parser.parse_args()
    one_thread()
    for method in METHODS:
        if method in asked.only:
            record([attribution(method, asked.size, asked.repeats)])
    if ITERATION in asked.only:
        record([iteration("vgg16", "keras-vis", asked.size, asked.repeats)])


if __name__ == "__main__":
    main()

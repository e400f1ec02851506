"""CPU seconds to the activation that the preset `keras-vis` has after 2,048 iterations: `modern` against tf-keras-vis.

    python benchmarks/activation_to_level.py [--networks vgg16 densenet121] [--size 96] [--timed-size 224]

The activation is that of the picture as it is shown, put back into the network's input range, without jitter. The
network has random weights, its BatchNorm layers (densenet121) the statistics of random images; the objective is its
logit.

1. Level: `keras-vis` runs all its iterations at `--size` pixels.
2. Iterations: `modern` runs at the same size with the same seed; the first iteration after which its picture is at the
   level counts.
3. Time: `modern` runs that number of iterations at `--timed-size`, from the call to the finished picture. The peer is
   tf-keras-vis with its defaults: its measured seconds of an iteration at `--timed-size`, times the iterations of the
   level: tf-keras-vis is assumed to need as many iterations as `keras-vis`, whose tool it continues.

`keras-vis` may be higher before its end, since its regularizers win later. The rows `…/NETWORK_best` therefore compare
with the highest of its pictures (after 1, 2, 4, … iterations) and count no more iterations than that one took.

With `--size 224`, nothing is carried over from one size to another; the level of VGG16 then takes half an hour.
"""

from __future__ import annotations

import argparse
import time
from contextlib import suppress
from typing import Any

import torch
from maps import network
from peers import Enough, Peer, Turns, median, one_thread, row
from record import record
from torch import nn

from cxrlens.explain.activation_maximization import PRESETS, MaximizationResult, Objective, doubling, maximize
from cxrlens.models.classifier import Classifier

NAME = "activation_maximization_to_level"
LOGIT = Objective.logit()


def build(architecture: str, size: int, seed: int) -> Classifier:
    """The network; BatchNorm has the statistics of random images, without which its maps are those of no training."""
    model = network(architecture, size, seed)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    for module in norms:
        module.momentum = None  # the mean over all batches
        module.reset_running_stats()
        module.train()
    if norms:
        with torch.no_grad():
            model(torch.rand(16, 1, size, size, generator=torch.Generator().manual_seed(seed)))
    return model.eval()


def shown(model: Classifier, result: MaximizationResult) -> dict[int, float]:
    """Iteration → the network's logit of the picture as it was shown then."""
    pictures = torch.from_numpy(result.snapshots[0])
    with torch.no_grad():
        logits = [model.logits(model.backbone(model.prepare(picture[None]))).item() for picture in pictures]
    return dict(zip(result.snapshot_iterations, logits, strict=True))


def levels(model: Classifier, iterations: int, seed: int) -> dict[int, float]:
    """Iterations → activation of `keras-vis`: its result, and its highest picture (the same where that is the last)."""
    changes = {"iterations": iterations, "snapshots": doubling(iterations)}
    result = maximize(model, LOGIT, PRESETS["keras-vis"].model_copy(update=changes), seeds=(seed,))
    by_iteration = shown(model, result)
    course = ", ".join(f"{number}: {value:.4g}" for number, value in by_iteration.items())
    activation = float(result.activations[0])
    print(f"  keras-vis, activation of the current picture by iteration: {course}; its result: {activation:.4g}")
    best = max(by_iteration, key=lambda number: by_iteration[number])
    return {best: by_iteration[best]} | {iterations: activation}


def iterations_to(model: Classifier, wanted: float, seed: int, first: int = 32) -> int | None:
    """The first iteration after which the picture of `modern` is at the level; None where it never is."""
    modern, activations = PRESETS["modern"], dict[int, float]()
    for most in (first, modern.iterations):  # a short run first, since most levels need no more
        options = modern.model_copy(update={"iterations": most, "snapshots": tuple(range(most + 1))})
        activations = shown(model, maximize(model, LOGIT, options, seeds=(seed,)))
        reached = [number for number, value in activations.items() if value >= wanted]
        if reached:
            print(f"  modern: {activations[0]:.4g} at the start, {activations[reached[0]]:.4g} after {reached[0]}")
            return max(1, reached[0])
    print(f"  modern never reaches it: {max(activations.values()):.4g} at most in {most} iterations")
    return None


def peer_iteration(architecture: str, size: int, repeats: int, model: Classifier) -> tuple[float, dict[str, str]]:
    """CPU seconds of an iteration of tf-keras-vis, in turn with ours."""
    with Peer({"kind": "activation_maximization", "architecture": architecture, "size": size}) as peer:
        with suppress(Enough):
            maximize(model, LOGIT, progress=Turns(repeats, f"maximizing {LOGIT.title}", peer))
        return median(peer.seconds), peer.versions


def to_level(
    architecture: str, size: int, timed_size: int, iterations: int, seed: int, repeats: int
) -> list[dict[str, Any]]:
    """Rows of the results: to the level of `keras-vis` at its end, and to that of its best picture."""
    print(f"{architecture}, {size} px, random weights, seed {seed}", flush=True)
    model, timed = build(architecture, size, seed), build(architecture, timed_size, seed)
    wanted = levels(model, iterations, seed)
    one, versions = peer_iteration(architecture, timed_size, repeats, timed)
    rows = []
    for peers_iterations, activation in wanted.items():
        name = f"{NAME}/{architecture}" + ("" if peers_iterations == iterations else "_best")
        needed = iterations_to(model, activation, seed)
        if needed is None:
            continue
        began = time.process_time()
        maximize(timed, LOGIT, PRESETS["modern"].model_copy(update={"iterations": needed}), seeds=(seed,))
        seconds = time.process_time() - began
        print(
            f"  {needed} iterations at {timed_size} px: {seconds:.3g} s; tf-keras-vis: {peers_iterations} × {one:.3g} s"
        )
        rows.append(row(name, seconds, peers_iterations * one, "CPU s", versions))
    return rows


def main() -> None:
    """Measures, prints and records the rows; VGG16's is also the one of the plain name."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["vgg16", "densenet121"], choices=["vgg16", "densenet121"])
    parser.add_argument("--size", type=int, default=96, help="pixels for the level and the number of iterations")
    parser.add_argument("--timed-size", type=int, default=224, help="pixels for the seconds")
    parser.add_argument("--iterations", type=int, default=PRESETS["keras-vis"].iterations)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=4)
    asked = parser.parse_args()
    one_thread()
    for architecture in asked.networks:
        rows = to_level(architecture, asked.size, asked.timed_size, asked.iterations, asked.seed, asked.repeats)
        plain = [new | {"name": NAME} for new in rows if new["name"] == f"{NAME}/vgg16"]
        record([*rows, *plain])


if __name__ == "__main__":
    main()

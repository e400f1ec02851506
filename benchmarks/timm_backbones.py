"""Which of timm's architectures work as a backbone, and what is said of the others.

    python benchmarks/timm_backbones.py --out timm.csv [--sizes 64 96 224] [--only vit coat]

Of every kind of network that timm builds (its module, class, number of prefix tokens, fixed input size or not) the
smallest is built as a row of a study builds it, with random weights: a pass in evaluation mode, a training step of two
images, and Grad-CAM. A row of the result is a network and a size: "works" with the feature map, "refused" with the
sentence that a user reads before training, or "crash". Counting parameters takes about ten minutes, the rest as long.
"""

from __future__ import annotations

import argparse
import csv
import time
import traceback
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import timm
import torch

from cxrlens.errors import UserError
from cxrlens.explain.methods.grad_cam import GradCam
from cxrlens.models.classifier import ModelOptions, build_classifier

LARGEST = 100_000_000  # parameters
SKIPPED = ("huge", "giant", "gigantic", "enormous", "xxlarge", "_7b", "so400m", "so150m")  # larger in any case


def smallest(only: Sequence[str] = ()) -> list[str]:
    """The smallest network of each kind, whose parameters are counted without being stored."""
    kinds: dict[tuple[object, ...], tuple[int, str]] = {}
    for name in timm.list_models():
        if any(part in name for part in SKIPPED) or (only and not name.startswith(tuple(only))):
            continue
        with torch.device("meta"):
            network = timm.create_model(name, num_classes=0)
        config = timm.get_pretrained_cfg(name)
        parameters = sum(each.numel() for each in network.parameters())
        kind = (
            type(network).__module__,
            type(network).__name__,
            getattr(network, "num_prefix_tokens", 0),
            bool(config and config.fixed_input_size),
            "distilled" in name,
        )
        if parameters <= LARGEST:
            kinds[kind] = min(kinds.get(kind, (parameters, name)), (parameters, name))
    return sorted(name for _, name in kinds.values())


def outcome(name: str, size: int) -> tuple[str, str]:
    """What becomes of a network at a size: ("works", its map), ("refused", the sentence) or ("crash", the error)."""
    try:
        model = build_classifier(ModelOptions(name=name, backbone=name, head="linear"), size, seed=0)
        images = torch.rand(2, 1, size, size, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            shape = tuple(model.eval().features(images).shape)
        maps = GradCam().maps(model, images, None)
        if maps.ndim != 3 or not maps.isfinite().all():
            return "crash", f"Grad-CAM gives {tuple(maps.shape)}"
        model.train()(images).sum().backward()
        if shape[1] != model.backbone.channels or min(shape[2:]) < 1:
            return "crash", f"a map of {shape}"
        return "works", " × ".join(map(str, shape[1:]))
    except UserError as error:
        return "refused", str(error)
    except Exception as error:  # whatever a network's own code raises
        place = traceback.extract_tb(error.__traceback__)[-1]
        return "crash", f"{type(error).__name__}: {str(error)[:150]} ({Path(place.filename).name}:{place.lineno})"


def main(names: Iterable[str], sizes: Sequence[int], out: Path) -> None:
    """Writes a row a network and size, and counts them."""
    counts: dict[str, int] = {}
    with out.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["network", "size", "outcome", "what", "seconds"])
        for name in names:
            for size in sizes:
                begun = time.perf_counter()
                kind, what = outcome(name, size)
                counts[kind] = counts.get(kind, 0) + 1
                rows.writerow([name, size, kind, what, f"{time.perf_counter() - begun:.1f}"])
                file.flush()
    print(", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Which of timm's architectures work as a backbone.")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sizes", type=int, nargs="+", default=[64, 96, 224])
    parser.add_argument("--only", nargs="+", default=[], help="beginnings of names")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    main(smallest(given.only), given.sizes, given.out)

"""The arrays of the report's gallery: the validation images, and their raw maps by every model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from scipy.special import expit
from torch import Tensor
from torch.nn import functional

from cxrlens.errors import UserError, reason
from cxrlens.evaluate.calibration import choose_threshold
from cxrlens.explain.attribute import attribute
from cxrlens.explain.base import Attribution
from cxrlens.pipeline.array_cache import cached_arrays, read_arrays, write_arrays
from cxrlens.pipeline.audit.cases import LungStore
from cxrlens.pipeline.explain.figure_networks import FigureNetwork
from cxrlens.pipeline.prepare import Prepared
from cxrlens.progress import SILENT, Progress
from cxrlens.report.report_data import Gallery, as_logit
from cxrlens.run_folder import RunFolder
from cxrlens.study import folder_name

MOST_IMAGES, MOST_PIXELS, MAP_SIDE, BATCH = 400, 224, 112, 16


def make_gallery(networks: Sequence[FigureNetwork], data_dir: Path | None, progress: Progress = SILENT) -> None:
    """Writes `maps/MODEL.npz` and `maps/images.npz`. Existing arrays are not computed again.

    The maps of a method are an array with its name: raw and signed, float16 in units of `METHOD unit` (a power of two),
    at the method's own resolution but at most `MAP_SIDE` cells a side. The file also holds `METHOD margin`, the
    network's `threshold` (a probability) and `threshold logit`, and the names of the `images`.

    Args:
        networks: one network of each model.
        data_dir: folder of the study's images; None if the source has no folder.
        progress: receiver of the progress.
    """
    first = networks[0]
    prepared, methods = first.prepared, first.prepared.study.explain.methods
    images = sampled(prepared.splits[0].validation, prepared.study.explain.seed)
    folder = first.run.folder.path / "maps"
    if len(images) < len(prepared.splits[0].validation):
        progress.say(f"gallery: a sample of {len(images)} of {len(prepared.splits[0].validation)} validation images")
    steps = -(-len(images) // BATCH)
    with progress.task("gallery", len(networks) * len(methods) * steps) as task:
        for number, network in enumerate(networks):
            failed: list[str] = []

            def make(
                network: FigureNetwork = network, number: int = number, failed: list[str] = failed
            ) -> dict[str, np.ndarray]:
                arrays = {"images": np.array(images), **_threshold(network)}
                model, finished = network.network(), number * len(methods) * steps
                for method in methods:
                    parts = []
                    try:
                        for start in range(0, len(images), BATCH):
                            maps = attribute(model, network.pixels(images[start : start + BATCH]), method)
                            parts.append((reduced(maps), maps.margin if maps.maps.shape[1] <= MAP_SIDE else (0, 0)))
                            finished += 1
                            task.update(finished)
                    except Exception as error:  # the other methods go on
                        progress.say(f"gallery: {network.name} without {method}: {reason(error)}")
                        arrays[f"{method} missing"] = np.array(reason(error))
                        failed += [] if isinstance(error, UserError) else [method]
                        continue
                    arrays |= _packed(method, torch.cat([part for part, _ in parts]), parts[0][1])
                return arrays

            path = folder / network.file
            made_from = {"network": network.identity, "images": images, "of": prepared.digest, "methods": methods}
            made_from |= {"threshold": "logit", "side": MAP_SIDE}
            try:
                cached_arrays(path, made_from, make, lambda failed=failed: not failed)
            except Exception as error:  # the other networks go on
                progress.say(f"warning: gallery: without maps of {network.name}: {reason(error)}")
                missing = {f"{method} missing": np.array(reason(error)) for method in methods}
                write_arrays(path, {"images": np.array(images), "threshold": np.array(np.nan), **missing})
            task.update((number + 1) * len(methods) * steps)
    audit = prepared.study.audit
    lungs = [audit.masks, audit.boxes, audit.segmenter]
    made_from = {"images": images, "of": prepared.digest, "lungs": lungs, "root": str(data_dir)}
    cached_arrays(folder / "images.npz", made_from, lambda: _images(prepared, images, data_dir, progress))


def sampled(images: Sequence[str], seed: int, most: int = MOST_IMAGES) -> list[str]:
    """The images, or a random sample of `most` of them in the same order.

    >>> sampled(["a", "b"], seed=0), len(sampled([str(number) for number in range(9)], seed=0, most=4))
    (['a', 'b'], 4)
    """
    if len(images) <= most:
        return list(images)
    rows = np.sort(np.random.default_rng(seed).choice(len(images), most, replace=False))
    return [images[row] for row in rows]


def reduced(attribution: Attribution, most: int = MAP_SIDE) -> Tensor:
    """The maps with at most `most` cells a side, [b, h, w].

    If the method displays the magnitude, each block keeps its value of largest magnitude, with the sign, because the
    mean of a gradient's signs is near 0. Otherwise each block becomes its mean.
    """
    maps = attribution.maps
    side = (min(maps.shape[1], most), min(maps.shape[2], most))
    if side == tuple(maps.shape[1:]):
        return maps
    if attribution.displayed != "magnitude":
        return functional.adaptive_avg_pool2d(maps[:, None], side)[:, 0]
    _, positions = functional.adaptive_max_pool2d(maps.abs()[:, None], side, return_indices=True)
    return maps.flatten(1).gather(1, positions.flatten(1)).view(len(maps), *side)


def _threshold(network: FigureNetwork) -> dict[str, np.ndarray]:
    """The threshold above which an image counts as positive, chosen on the train set; NaN if it has one class only."""
    folder = network.run.folder
    table = folder.read_table(network.task.unit(folder).folder / "train_predictions.csv")
    table = table[table["label"].notna()]
    threshold = choose_threshold(table["label"], table["logit"]) if table["label"].nunique() == 2 else np.nan
    return {"threshold": np.array(expit(threshold)), "threshold logit": np.array(threshold)}


def _packed(method: str, maps: Tensor, margin: tuple[int, int]) -> dict[str, np.ndarray]:
    largest = float(maps.abs().max())
    unit = 2.0 ** np.ceil(np.log2(largest)) if largest > 0 else 1.0  # float16 loses values far below 1
    stored = (maps.double() / unit).numpy().astype(np.float16)
    return {method: stored, f"{method} unit": np.array(unit), f"{method} margin": np.array(margin)}


def _images(prepared: Prepared, images: list[str], data_dir: Path | None, progress: Progress) -> dict[str, np.ndarray]:
    pixels = prepared.cache.batch(images)
    if pixels.shape[1] > MOST_PIXELS:
        size = (MOST_PIXELS, MOST_PIXELS)
        pixels = np.stack([np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX)) for image in pixels])
    arrays = {"images": np.array(images), "pixels": pixels}
    try:
        lungs = LungStore(prepared, data_dir).at(pixels.shape[1], images, [], pixels.astype(np.float32) / 255)[0]
    except UserError as error:
        progress.say(f"gallery: without lungs: {error}")
        return arrays
    # The fallback's boxes are the same in every image, so they outline nobody's lungs.
    has_masks = lungs.origin not in ("none", "fallback")
    return arrays | ({"lungs": lungs.masks} if has_masks else {})


def read_gallery(run: RunFolder, models: Sequence[str]) -> Gallery | None:
    """The gallery of a run; None if the run has none.

    Args:
        run: folder of the run.
        models: names of the models. A model without maps, or with maps of other images, is left out.
    """
    base = read_arrays(run.path / "maps" / "images.npz")
    if not {"images", "pixels"} <= base.keys():
        return None
    maps: dict[str, dict[str, np.ndarray]] = {}
    margins: dict[str, dict[str, tuple[int, int]]] = {}
    thresholds: dict[str, float] = {}
    missing: dict[str, dict[str, str]] = {}
    for model in models:
        arrays = read_arrays(run.path / "maps" / f"{folder_name(model)}.npz")
        if not {"images", "threshold"} <= arrays.keys() or arrays["images"].tolist() != base["images"].tolist():
            continue
        units = {name.removesuffix(" unit"): float(arrays[name]) for name in arrays if name.endswith(" unit")}
        maps[model] = {method: arrays[method].astype(np.float32) * unit for method, unit in units.items()}
        margins[model] = {method: _pair(arrays[f"{method} margin"]) for method in units}
        reasons = {name.removesuffix(" missing"): str(arrays[name]) for name in arrays if name.endswith(" missing")}
        missing |= {model: reasons} if reasons else {}
        # An older version stored only the probability.
        threshold = arrays.get("threshold logit", as_logit(float(arrays["threshold"])))
        if threshold is not None and not np.isnan(threshold):
            thresholds[model] = float(threshold)
    return Gallery(
        tuple(base["images"].tolist()), base["pixels"], maps, margins, base.get("lungs"), thresholds, missing
    )


def _pair(values: np.ndarray) -> tuple[int, int]:
    return int(values[0]), int(values[1])

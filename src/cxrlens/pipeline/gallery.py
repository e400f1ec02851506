"""The gallery's arrays: raw maps of every validation image by every model, and the images themselves."""

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

MOST_IMAGES, MOST_PIXELS, MAP_SIDE, AT_ONCE = 400, 224, 112, 16


def make_gallery(shown: Sequence[FigureNetwork], data_dir: Path | None, progress: Progress = SILENT) -> None:
    """Writes `maps/MODEL.npz` and `maps/images.npz`; what is there already is not made again.

    The maps of a method are an array of its name, float16 in units of `METHOD unit`, a power of two: raw, signed, at
    the method's own resolution or at `MAP_SIDE`. Beside them `METHOD margin`, the network's `threshold` (a
    probability) and `threshold logit`, and `images`, which they are of.

    Args:
        shown: a network a model.
        data_dir: the folder of the study's images; None where its source has none.
        progress: where work is shown.
    """
    first = shown[0]
    prepared, methods = first.prepared, first.prepared.study.explain.methods
    images = sampled(prepared.splits[0].validation, prepared.study.explain.seed)
    folder = first.run.folder.path / "maps"
    if len(images) < len(prepared.splits[0].validation):
        progress.say(f"gallery: a sample of {len(images)} of {len(prepared.splits[0].validation)} validation images")
    steps = -(-len(images) // AT_ONCE)
    with progress.task("gallery", len(shown) * len(methods) * steps) as task:
        for number, each in enumerate(shown):
            failed: list[str] = []

            def make(
                each: FigureNetwork = each, number: int = number, failed: list[str] = failed
            ) -> dict[str, np.ndarray]:
                found = {"images": np.array(images), **_threshold(each)}
                network, done = each.network(), number * len(methods) * steps
                for method in methods:
                    parts = []
                    try:
                        for start in range(0, len(images), AT_ONCE):
                            one = attribute(network, each.pixels(images[start : start + AT_ONCE]), method)
                            parts.append((reduced(one), one.margin if one.maps.shape[1] <= MAP_SIDE else (0, 0)))
                            done += 1
                            task.update(done)
                    except Exception as error:  # one method's fault takes no other map away
                        progress.say(f"gallery: {each.name} without {method}: {reason(error)}")
                        found[f"{method} missing"] = np.array(reason(error))
                        failed += [] if isinstance(error, UserError) else [method]
                        continue
                    found |= _packed(method, torch.cat([maps for maps, _ in parts]), parts[0][1])
                return found

            made_from = {"network": each.identity, "images": images, "of": prepared.digest, "methods": methods}
            made_from |= {"threshold": "logit"}
            try:
                cached_arrays(
                    folder / each.file, {**made_from, "side": MAP_SIDE}, make, lambda failed=failed: not failed
                )
            except Exception as error:  # nor one network's fault another's maps
                progress.say(f"warning: gallery: without maps of {each.name}: {reason(error)}")
                missing = {f"{method} missing": np.array(reason(error)) for method in methods}
                write_arrays(folder / each.file, {"images": np.array(images), "threshold": np.array(np.nan), **missing})
            task.update((number + 1) * len(methods) * steps)
    audit = prepared.study.audit
    told = {"images": images, "of": prepared.digest, "lungs": [audit.masks, audit.boxes, audit.segmenter]}
    cached_arrays(
        folder / "images.npz", {**told, "root": str(data_dir)}, lambda: _images(prepared, images, data_dir, progress)
    )


def sampled(images: Sequence[str], seed: int, most: int = MOST_IMAGES) -> list[str]:
    """The images, or a random `most` of them in the same order.

    >>> sampled(["a", "b"], seed=0), len(sampled([str(number) for number in range(9)], seed=0, most=4))
    (['a', 'b'], 4)
    """
    if len(images) <= most:
        return list(images)
    rows = np.sort(np.random.default_rng(seed).choice(len(images), most, replace=False))
    return [images[row] for row in rows]


def reduced(attribution: Attribution, most: int = MAP_SIDE) -> Tensor:
    """Its maps at most `most` cells a side, [b, h, w].

    Of a method that is shown as a magnitude each block keeps its largest value, with its sign, since the mean of a
    gradient's signs is near 0; of the others, the mean.
    """
    maps = attribution.maps
    side = (min(maps.shape[1], most), min(maps.shape[2], most))
    if side == tuple(maps.shape[1:]):
        return maps
    if attribution.shown != "magnitude":
        return functional.adaptive_avg_pool2d(maps[:, None], side)[:, 0]
    _, where = functional.adaptive_max_pool2d(maps.abs()[:, None], side, return_indices=True)
    return maps.flatten(1).gather(1, where.flatten(1)).view(len(maps), *side)


def _threshold(shown: FigureNetwork) -> dict[str, np.ndarray]:
    """From what on this network calls an image positive, by its training images; NaN where these are of one class."""
    table = shown.run.folder.read_table(shown.task.unit(shown.run.folder).folder / "train_predictions.csv")
    table = table[table["label"].notna()]
    chosen = choose_threshold(table["label"], table["logit"]) if table["label"].nunique() == 2 else np.nan
    return {"threshold": np.array(expit(chosen)), "threshold logit": np.array(chosen)}


def _packed(method: str, maps: Tensor, margin: tuple[int, int]) -> dict[str, np.ndarray]:
    largest = float(maps.abs().max())
    unit = 2.0 ** np.ceil(np.log2(largest)) if largest > 0 else 1.0  # float16 loses what is far below 1
    stored = (maps.double() / unit).numpy().astype(np.float16)
    return {method: stored, f"{method} unit": np.array(unit), f"{method} margin": np.array(margin)}


def _images(prepared: Prepared, images: list[str], data_dir: Path | None, progress: Progress) -> dict[str, np.ndarray]:
    pixels = prepared.cache.batch(images)
    if pixels.shape[1] > MOST_PIXELS:
        size = (MOST_PIXELS, MOST_PIXELS)
        pixels = np.stack([np.asarray(Image.fromarray(each).resize(size, Image.Resampling.BOX)) for each in pixels])
    found = {"images": np.array(images), "pixels": pixels}
    try:
        lungs = LungStore(prepared, data_dir).at(pixels.shape[1], images, [], pixels.astype(np.float32) / 255)[0]
    except UserError as error:
        progress.say(f"gallery: without lungs: {error}")
        return found
    # The fallback's boxes are the same in every image: no outline of anybody's lungs.
    known = lungs.origin not in ("none", "fallback")
    return found | ({"lungs": lungs.masks} if known else {})


def read_gallery(run: RunFolder, models: Sequence[str]) -> Gallery | None:
    """The gallery of a run's folder; None where none was made.

    Args:
        run: of which.
        models: names; one whose maps are not there, or are of other images, is left out.
    """
    base = read_arrays(run.path / "maps" / "images.npz")
    if not {"images", "pixels"} <= base.keys():
        return None
    maps: dict[str, dict[str, np.ndarray]] = {}
    margins: dict[str, dict[str, tuple[int, int]]] = {}
    thresholds: dict[str, float] = {}
    missing: dict[str, dict[str, str]] = {}
    for model in models:
        found = read_arrays(run.path / "maps" / f"{folder_name(model)}.npz")
        if not {"images", "threshold"} <= found.keys() or found["images"].tolist() != base["images"].tolist():
            continue
        units = {name.removesuffix(" unit"): float(found[name]) for name in found if name.endswith(" unit")}
        maps[model] = {method: found[method].astype(np.float32) * unit for method, unit in units.items()}
        margins[model] = {method: _pair(found[f"{method} margin"]) for method in units}
        reasons = {name.removesuffix(" missing"): str(found[name]) for name in found if name.endswith(" missing")}
        missing |= {model: reasons} if reasons else {}
        # An older version kept the probability alone.
        threshold = found.get("threshold logit", as_logit(float(found["threshold"])))
        if threshold is not None and not np.isnan(threshold):
            thresholds[model] = float(threshold)
    return Gallery(
        tuple(base["images"].tolist()), base["pixels"], maps, margins, base.get("lungs"), thresholds, missing
    )


def _pair(values: np.ndarray) -> tuple[int, int]:
    return int(values[0]), int(values[1])

"""Lung masks by a segmenter that the user names: a function of one's own, `package.module:function`."""

from __future__ import annotations

import importlib

import numpy as np

from cxrlens.audit.lungs.regions import Lungs
from cxrlens.errors import UserError


def from_segmenter(name: str, pixels: np.ndarray) -> Lungs:
    """Every image's mask by that function, which is given a float32 [h, w] in [0, 1] and gives a bool [h, w].

    Args:
        name: `package.module:function`, importable here.
        pixels: float32 [n, size, size] in [0, 1].

    Raises:
        UserError: it cannot be imported, or gives something else.
    """
    module, _, attribute = name.partition(":")
    try:
        segment = getattr(importlib.import_module(module), attribute)
        if not callable(segment):
            raise TypeError(f"{attribute} is no function")
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(
            f"[audit] segmenter: '{name}' cannot be imported ({error}); give package.module:function"
        ) from error
    masks = []
    for image in pixels:
        mask = np.asarray(segment(image.copy()))
        if mask.shape != image.shape or mask.dtype != bool:
            raise UserError(
                f"[audit] segmenter: '{name}' must give a bool mask {list(image.shape)}; got {mask.dtype} "
                f"{list(mask.shape)}"
            )
        masks.append(mask)
    found = np.stack(masks)
    known = np.array([mask.any() for mask in masks])
    return Lungs(found, known, "segmenter", f"the masks that {name} draws, whose worth is not known here")

"""What real images do to the same units: the yardstick for a made picture."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from cxrlens.explain.activation_maximization.measure import measuring
from cxrlens.explain.activation_maximization.objectives import Objective, value_of
from cxrlens.models.classifier import Classifier
from cxrlens.progress import SILENT, Progress


def reference_activations(
    model: Classifier,
    objectives: Sequence[Objective],
    images: Tensor,
    *,
    batch: int = 16,
    progress: Progress = SILENT,
) -> np.ndarray:
    """Every objective on every image.

    Args:
        model: any; it is left as it was found.
        objectives: m of them.
        images: float [n, 1, size, size] in [0, 1].
        batch: images in one pass.
        progress: who watches.

    Returns:
        float32 [m, n].

    Raises:
        UserError: an unknown layer, or a channel that it does not have.
    """
    found = []
    with measuring(model, objectives) as measure, torch.no_grad(), progress.task("real images", len(images)) as task:
        for start in range(0, len(images), batch):
            means = measure(images[start : start + batch].to(model.mean.device))
            found.append(torch.stack([value_of(objective, means) for objective in objectives]).cpu())
            task.update(min(start + batch, len(images)))
    return torch.cat(found, 1).numpy()

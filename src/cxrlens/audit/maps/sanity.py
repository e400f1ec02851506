"""Whether maps depend on what the network learned: cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292).

The criterion is an excess: the signed rank correlation of the original map with the map of a randomised network, minus
that of random pairs. A random pair is the original map of one image and the same randomised network's map of another
image. What a random pair has in common (a bright centre, a dark rim, the sign that a random head happens to give) does
not come from the image. What maps of the same image have in common beyond that comes from the image, whatever the
network learned.

Two other references would be possible. Maps of one image by two random networks would excuse the fault that is searched
for: those of guided backpropagation are similar, since all show edges. Maps of two images by the original network are
similar where it always looks at one place, so that every method would pass; they are reported.

The correlation is signed because Adebayo's difference shows there: magnitudes of gradients stay somewhat similar to the
image in any network with ReLUs. Magnitudes are measured and reported but do not decide. A magnitude map may therefore
look the same after its network was randomised, even where the check is passed.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cxrlens.audit.maps.sample import partners
from cxrlens.audit.maps.similarity import MEASURES, Ranked
from cxrlens.errors import UserError
from cxrlens.evaluate.cluster_means import MeanEstimate, mean_over_patients
from cxrlens.explain.attribute import attribute
from cxrlens.models.classifier import Classifier, seeded

BLOCKS = 7  # largest number of groups of the backbone; the head is one more


@dataclass(frozen=True)
class Depth:
    """Modules that are randomised together, by name; a module stands for its own parameters only."""

    name: str
    modules: tuple[str, ...]


def depths(model: Classifier) -> tuple[Depth, ...]:
    """The head, then the backbone's blocks from the last to the first, at most 8 in all.

    Blocks are the network's outer modules. A module with more than half of all layers (a DenseNet's `features`, a ViT's
    `blocks`) is split into its children. Then neighbours are joined, the smallest first, until few enough are left.
    """
    start = model.backbone.inner_path
    opened, blocks = [start], _children(model, start)
    total = sum(len(_owners(model, block)) for block in blocks)
    while blocks:
        largest = max(blocks, key=lambda block: len(_owners(model, block)))
        inner = _children(model, largest)
        if not inner or (len(blocks) >= 3 and 2 * len(_owners(model, largest)) <= total):
            break
        opened.append(largest)
        index = blocks.index(largest)
        blocks[index : index + 1] = inner
    groups = [[block] for block in blocks]
    while len(groups) > BLOCKS:
        sizes = [sum(len(_owners(model, block)) for block in group) for group in groups]
        first = min(range(len(groups) - 1), key=lambda index: sizes[index] + sizes[index + 1])
        groups[first : first + 2] = [groups[first] + groups[first + 1]]
    of_groups = [Depth(_title(group, start), sum((_owners(model, block) for block in group), ())) for group in groups]
    # The own parameters of a split module (a ViT's position embedding) belong to the network's entry.
    own = tuple(name for name in opened if name in _owners(model, name))
    if own:
        entry = of_groups.pop(0) if of_groups else Depth("backbone", ())
        of_groups.insert(0, Depth(entry.name, (*own, *entry.modules)))
    head = Depth("the head", _owners(model, "head"))  # ConvNeXt calls a block of its own "head"
    return tuple(depth for depth in (head, *reversed(of_groups)) if depth.modules)


def randomise(model: Classifier, depth: Depth, seed: int) -> None:
    """Replaces the parameters of a depth by random numbers, in place; pass a copy of the model.

    A module's own `reset_parameters` is used where it has one, which also resets the statistics of a BatchNorm. Other
    parameters become normal numbers with the tensor's own mean and standard deviation, so that no branch vanishes or
    explodes.

    Args:
        model: model with these modules.
        depth: one of `depths(model)`.
        seed: seed of the random numbers; torch's global generator is left as it was.
    """
    with seeded(seed), torch.no_grad():
        for name in depth.modules:
            module = model.get_submodule(name)
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for parameter in module.parameters(recurse=False):
                noise = torch.randn_like(parameter)
                parameter.copy_(noise * parameter.std(correction=0) + parameter.mean())


def _children(model: nn.Module, name: str) -> list[str]:
    """Names of the direct children that have parameters."""
    return [
        f"{name}.{child}"
        for child, _ in model.get_submodule(name).named_children()
        if _owners(model, f"{name}.{child}")
    ]


def _owners(model: nn.Module, name: str) -> tuple[str, ...]:
    """Names of the modules, this one among them, that have parameters of their own."""
    modules = model.get_submodule(name).named_modules(prefix=name)
    return tuple(path for path, module in modules if any(True for _ in module.parameters(recurse=False)))


def _title(group: list[str], start: str) -> str:
    ends = [path.removeprefix(f"{start}.") for path in (group[0], group[-1])]
    return ends[0] if len(group) == 1 else f"{ends[0]} to {ends[1]}"


DECIDES = "spearman_signed"
# On small trained CNNs that are fully randomised, gradients and Grad-CAM average below 0.06, guided backpropagation
# above 0.15.
MARGIN = 0.1


@dataclass(frozen=True)
class AtDepth:
    """Similarity of maps after everything from the head down to this depth was randomised.

    Attributes:
        name: name of the depth.
        networks: number of randomised networks.
        similarity: measure → similarity of the original map and the randomised network's map of the same image.
        random_pairs: measure → similarity of the original map and the randomised network's map of another image.
        excess: measure → `similarity` minus `random_pairs`.
    """

    name: str
    networks: int
    similarity: Mapping[str, MeanEstimate]
    random_pairs: Mapping[str, MeanEstimate]
    excess: Mapping[str, MeanEstimate]


@dataclass(frozen=True)
class Sanity:
    """Similarity of a method's maps of one network before and after the network was randomised.

    Attributes:
        method: name of the attribution method.
        depths: results from the head down; at the last depth the whole network is random.
        halfway: index in `depths` at which the upper half of the network is random.
        other_images: measure → similarity of two images' maps by the original network.
        margin: largest excess that counts as none.
        images: number of explained images.
    """

    method: str
    depths: tuple[AtDepth, ...]
    halfway: int
    other_images: Mapping[str, MeanEstimate]
    margin: float
    images: int

    @property
    def half(self) -> MeanEstimate:
        """The excess of the deciding measure with the upper half of the network random."""
        return self.depths[self.halfway].excess[DECIDES]

    @property
    def full(self) -> MeanEstimate:
        """The excess of the deciding measure with the whole network random."""
        return self.depths[-1].excess[DECIDES]

    @property
    def passes(self) -> bool | None:
        """Whether the maps depend on what the network learned.

        False where the interval of the excess lies above the margin, with the whole network or its upper half random: a
        logit from a random upper half has no relation to the label, and some networks (EfficientNet-lite0) lose the
        similarity only with their first layers. Else True where the interval with the whole network random lies below
        the margin. None where this interval includes the margin, or where nothing could be compared.
        """
        if self.half.low > self.margin or self.full.low > self.margin:
            return False
        return True if self.full.high < self.margin else None


def sanity(
    model: Classifier,
    images: Tensor,
    patients: np.ndarray,
    method: str,
    generator: np.random.Generator,
    options: Mapping[str, Any] | None = None,
    networks: int = 8,
    margin: float = MARGIN,
    level: float = 0.95,
) -> Sanity:
    """Compares maps of the same images while the network is randomised from the head down.

    Maps of the first randomised network are computed at every depth, those of the others halfway and at the end. There
    the criterion must not depend on one random network, so the intervals are over patients and networks. The shallower
    the network, the more randomised networks are needed to pass: 8 for most, some dozens for the benchmark's two
    convolutions. On a shallow network, about 6% of sound methods failed with 4 networks, and 1% with 8 (measured with
    percentile intervals, which are narrower than these). Maps are compared at the method's own resolution.

    Args:
        model: trained network; it is left unchanged, since copies are randomised.
        images: images to explain, [n, 1, h, w] in [0, 1].
        patients: patient of each image, [n].
        method: name in `METHODS`.
        generator: random number generator.
        options: options of the method.
        networks: number of randomised networks, at least 2.
        margin: largest excess that counts as none.
        level: confidence level of the intervals, between 0 and 1.

    Raises:
        UserError: there are fewer than 2 images or networks, or `attribute` refuses the input.
    """
    if networks < 2:
        raise UserError(f"a sanity check needs at least 2 random networks; got {networks}")

    def maps_of(network: Classifier) -> Ranked:
        return Ranked.of(attribute(network, images, method, **dict(options or {})).maps.numpy())

    def estimates(of_networks: list[dict[str, np.ndarray]]) -> dict[str, MeanEstimate]:
        values = {name: np.stack([measures[name] for measures in of_networks]) for name in MEASURES}
        return {name: mean_over_patients(values[name], patients, 0.0, level) for name in MEASURES}

    original, order = maps_of(model), depths(model)
    halfway, last = (len(order) - 1) // 2, len(order) - 1
    same: list[list[dict[str, np.ndarray]]] = [[] for _ in order]
    pairs: list[list[dict[str, np.ndarray]]] = [[] for _ in order]
    for number in range(networks):
        network, other = copy.deepcopy(model), partners(patients, generator)
        for index, depth in enumerate(order):
            randomise(network, depth, int(generator.integers(2**31)))
            if number == 0 or index in (halfway, last):
                maps = maps_of(network)
                same[index].append(original.similarity(maps))
                pairs[index].append(original.similarity(maps.at(other)))
    at_depths = []
    for depth, alike, pair in zip(order, same, pairs, strict=True):
        excess = [{name: a[name] - b[name] for name in MEASURES} for a, b in zip(alike, pair, strict=True)]
        at_depths.append(AtDepth(depth.name, len(alike), estimates(alike), estimates(pair), estimates(excess)))
    other_images = estimates([original.similarity(original.at(partners(patients, generator)))])
    return Sanity(method, tuple(at_depths), halfway, other_images, margin, len(images))

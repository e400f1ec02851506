"""Whether maps hang on what the network learned: cascading randomisation (Adebayo et al. 2018, arXiv:1810.03292).

The criterion is the signed rank correlation of the original map with that of a network made random, beyond that of
random pairs: the original map of one image with the same random network's map of another. What such a pair shares (a
bright centre, a dark rim, the sign that a random head happens to give) it does not owe to the image; what the same
image's pair shares beyond, its excess, is drawn from the image whatever the network learned. Two other references come
to mind. Two random networks' maps of one image would excuse the very fault that is looked for: guided backpropagation's
are alike, all of them edges. Two images' maps by the original network are alike where it looks at one place always,
which would let everything pass; they are reported.

Signed, because there lies the difference that Adebayo found: magnitudes of gradients keep some likeness to the image
in any network with ReLUs. They are measured and reported, and do not decide: a map read by its magnitude may look
alike after its network forgot everything, even where the check is passed.
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

# Making a network forget, from the top (Adebayo et al. 2018, arXiv:1810.03292).

BLOCKS = 7  # most groups of the backbone; the head is one more


@dataclass(frozen=True)
class Depth:
    """What is made random together: the modules whose own parameters these are, by name."""

    name: str
    modules: tuple[str, ...]


def depths(model: Classifier) -> tuple[Depth, ...]:
    """The head, then the backbone's blocks from the last to the first, at most 8 in all.

    Blocks are the network's outer modules. One that holds more than half of all layers (a DenseNet's `features`, a
    ViT's `blocks`) is taken apart, and neighbours are joined, the smallest first, until few enough are left.
    """
    start = model.backbone.inner_path
    opened, blocks = [start], _children(model, start)
    total = sum(len(_owners(model, each)) for each in blocks)
    while blocks:
        largest = max(blocks, key=lambda each: len(_owners(model, each)))
        inner = _children(model, largest)
        if not inner or (len(blocks) >= 3 and 2 * len(_owners(model, largest)) <= total):
            break
        opened.append(largest)
        place = blocks.index(largest)
        blocks[place : place + 1] = inner
    groups = [[each] for each in blocks]
    while len(groups) > BLOCKS:
        sizes = [sum(len(_owners(model, each)) for each in group) for group in groups]
        first = min(range(len(groups) - 1), key=lambda place: sizes[place] + sizes[place + 1])
        groups[first : first + 2] = [groups[first] + groups[first + 1]]
    found = [Depth(_title(group, start), sum((_owners(model, each) for each in group), ())) for group in groups]
    # What a taken apart module holds itself (a ViT's position embedding) belongs to the network's entry.
    own = tuple(name for name in opened if name in _owners(model, name))
    if own:
        entry = found.pop(0) if found else Depth("backbone", ())
        found.insert(0, Depth(entry.name, (*own, *entry.modules)))
    head = Depth("the head", _owners(model, "head"))  # ConvNeXt calls a block of its own "head"
    return tuple(each for each in (head, *reversed(found)) if each.modules)


def randomise(model: Classifier, depth: Depth, seed: int) -> None:
    """Draws the parameters of a depth anew, in place: give it a copy.

    A module's own `reset_parameters` where it has one (a BatchNorm then forgets its statistics as well); else normal
    numbers with the tensor's own mean and standard deviation, so that no branch is cut or blown up.

    Args:
        model: whose modules they are.
        depth: of `depths(model)`.
        seed: torch's global generator is left as it was.
    """
    with seeded(seed), torch.no_grad():
        for name in depth.modules:
            module = model.get_submodule(name)
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
                continue
            for each in module.parameters(recurse=False):
                each.copy_(torch.randn_like(each) * each.std(correction=0) + each.mean())


def _children(model: nn.Module, name: str) -> list[str]:
    """Names of the direct children that have parameters."""
    return [
        f"{name}.{child}"
        for child, _ in model.get_submodule(name).named_children()
        if _owners(model, f"{name}.{child}")
    ]


def _owners(model: nn.Module, name: str) -> tuple[str, ...]:
    """Names of the modules, this one among them, that have parameters of their own."""
    inside = model.get_submodule(name).named_modules(prefix=name)
    return tuple(each for each, module in inside if any(True for _ in module.parameters(recurse=False)))


def _title(group: list[str], start: str) -> str:
    ends = [each.removeprefix(f"{start}.") for each in (group[0], group[-1])]
    return ends[0] if len(group) == 1 else f"{ends[0]} to {ends[1]}"


DECIDES = "spearman_signed"
MARGIN = (
    0.1  # on small trained CNNs, all random: gradients and Grad-CAM average below 0.06, guided backprop. above 0.15
)


@dataclass(frozen=True)
class AtDepth:
    """The maps once all from the head down to this depth is random; every mapping is by measure.

    Attributes:
        name: of the depth.
        networks: random ones that were asked.
        similarity: of the original map and the random network's, of the same image.
        random_pairs: of the original map and the random network's, of another image.
        excess: the first minus the second.
    """

    name: str
    networks: int
    similarity: Mapping[str, MeanEstimate]
    random_pairs: Mapping[str, MeanEstimate]
    excess: Mapping[str, MeanEstimate]


@dataclass(frozen=True)
class Sanity:
    """A method's maps of one network, before and after the network forgot.

    Attributes:
        method: its name.
        depths: from the head down; the last one is the fully random network.
        halfway: position among them of the one where the upper half is random.
        other_images: by measure, of two images' maps by the original network.
        margin: how much excess still counts as none.
        images: explained.
    """

    method: str
    depths: tuple[AtDepth, ...]
    halfway: int
    other_images: Mapping[str, MeanEstimate]
    margin: float
    images: int

    @property
    def half(self) -> MeanEstimate:
        """The excess that decides, with the upper half random."""
        return self.depths[self.halfway].excess[DECIDES]

    @property
    def full(self) -> MeanEstimate:
        """The excess that decides, with all random."""
        return self.depths[-1].excess[DECIDES]

    @property
    def passes(self) -> bool | None:
        """Whether the maps need what the network learned.

        False where the interval of the excess lies above the margin, with all random or with the upper half: a logit
        from a random upper half says nothing of the label, and some networks (EfficientNet-lite0) lose the likeness
        only with their first layers. Else True where the interval with all random lies below the margin, and None
        where it holds the margin or nothing could be compared.
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
    """Maps of the same images while the network is made random from the top.

    The first random network is asked at every depth, the others halfway and at the end, where the criterion must not
    hang on what one random network gives all its maps: intervals there are over patients and networks. The shallower
    the network, the more of them are needed to pass: 8 for most, some dozens for the benchmark's two convolutions. With
    4 of them some 6% of sound methods failed on a shallow network, with 8, 1% (measured with percentile intervals,
    narrower than these). Maps are compared at the method's own resolution.

    Args:
        model: left as it was found; copies are made random.
        images: [n, 1, h, w] in [0, 1].
        patients: [n].
        method: a name in `METHODS`.
        generator: the randomness.
        options: the method's.
        networks: random networks, at least 2.
        margin: see `Sanity`.
        level: of the intervals.

    Raises:
        UserError: fewer than 2 images or networks, or what `attribute` refuses.
    """
    if networks < 2:
        raise UserError(f"a sanity check needs at least 2 random networks; got {networks}")

    def maps_of(network: Classifier) -> Ranked:
        return Ranked.of(attribute(network, images, method, **dict(options or {})).maps.numpy())

    def over(found: list[dict[str, np.ndarray]]) -> dict[str, MeanEstimate]:
        values = {name: np.stack([each[name] for each in found]) for name in MEASURES}
        return {name: mean_over_patients(values[name], patients, 0.0, level) for name in MEASURES}

    original, order = maps_of(model), depths(model)
    halfway, last = (len(order) - 1) // 2, len(order) - 1
    same: list[list[dict[str, np.ndarray]]] = [[] for _ in order]
    pairs: list[list[dict[str, np.ndarray]]] = [[] for _ in order]
    for number in range(networks):
        network, other = copy.deepcopy(model), partners(patients, generator)
        for place, depth in enumerate(order):
            randomise(network, depth, int(generator.integers(2**31)))
            if number == 0 or place in (halfway, last):
                maps = maps_of(network)
                same[place].append(original.likeness(maps))
                pairs[place].append(original.likeness(maps.at(other)))
    found = []
    for depth, alike, pair in zip(order, same, pairs, strict=True):
        beyond = [{name: a[name] - b[name] for name in MEASURES} for a, b in zip(alike, pair, strict=True)]
        found.append(AtDepth(depth.name, len(alike), over(alike), over(pair), over(beyond)))
    between = over([original.likeness(original.at(partners(patients, generator)))])
    return Sanity(method, tuple(found), halfway, between, margin, len(images))

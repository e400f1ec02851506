"""CheXNet in PyTorch (arnoweng/CheXNet, `model.pth.tar`): a checkpoint of a DenseNet121 inside two wrappers."""

from __future__ import annotations

from cxrlens.models.weights.cards import IMAGENET
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted, undotted

INNER = "densenet121."
HEAD = "classifier.0."


@FORMATS.register("chexnet_pth_tar")
class CheXNetPthTar:
    """Names such as `module.densenet121.features.denseblock1.denselayer1.norm.1.weight`; the head is `classifier.0`."""

    def recognises(self, contents: Contents) -> bool:
        """Whether every tensor is inside a module called densenet121."""
        return bool(contents.tensors) and all(_bare(name).startswith(INNER) for name in contents.tensors)

    def convert(self, contents: Contents) -> Converted:
        """Removes both wrappers and the dots from the names."""
        return Converted({_renamed(name): tensor for name, tensor in contents.tensors.items()}, "densenet121", IMAGENET)


def _bare(name: str) -> str:
    return name.removeprefix("module.")


def _renamed(name: str) -> str:
    name = undotted(_bare(name).removeprefix(INNER))
    return f"classifier.{name.removeprefix(HEAD)}" if name.startswith(HEAD) else name

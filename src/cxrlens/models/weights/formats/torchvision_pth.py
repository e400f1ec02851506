"""torchvision's VGG16 and DenseNet121 (`vgg16-397923af.pth`, `densenet121-a639ec97.pth`), trained on ImageNet."""

from __future__ import annotations

from cxrlens.models.weights.cards import IMAGENET
from cxrlens.models.weights.containers import Contents
from cxrlens.models.weights.formats import FORMATS, Converted, undotted

TOP = {"classifier.0.": "pre_logits.fc1.", "classifier.3.": "pre_logits.fc2.", "classifier.6.": "head.fc."}


@FORMATS.register("torchvision_pth")
class TorchvisionPth:
    """VGG's dense layers are `classifier.0`, `.3`, `.6`; DenseNet's dense layers have dotted names."""

    def recognises(self, contents: Contents) -> bool:
        """Whether the file has VGG's classifier, or dotted names of a DenseNet without a prefix."""
        return "classifier.6.weight" in contents.tensors or _dotted(contents)

    def convert(self, contents: Contents) -> Converted:
        """Renames the tensors."""
        if _dotted(contents):
            tensors = {undotted(name): tensor for name, tensor in contents.tensors.items()}
            last = "features.denseblock3.denselayer{}.norm1.weight".format  # DenseNet169 has 32 there
            is_121 = last(24) in tensors and last(25) not in tensors
            return Converted(tensors, "densenet121" if is_121 else None, IMAGENET)
        renamed = {_top(name): tensor for name, tensor in contents.tensors.items()}
        convolutions = sum(name.startswith("features.") for name in renamed)
        return Converted(renamed, "vgg16" if convolutions == 26 else None, IMAGENET)


def _dotted(contents: Contents) -> bool:
    return any(name.startswith("features.") and undotted(name) != name for name in contents.tensors)


def _top(name: str) -> str:
    return next((new + name.removeprefix(old) for old, new in TOP.items() if name.startswith(old)), name)

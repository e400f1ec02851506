"""What every registered attribution method promises, on a network of every family."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from cxrlens.errors import UserError
from cxrlens.explain.attribute import attribute
from cxrlens.explain.base import Attribution, overlay
from cxrlens.explain.methods import METHODS
from cxrlens.models.backbones import BACKBONES, Backbone
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier

NETWORKS = [
    *BACKBONES,
    "mobilenetv3_small_050",
    "resnet10t",
    "tf_efficientnet_lite0",
    "densenet121",
    "vit_tiny_patch16_224",
]
CHEAP = {
    "integrated_gradients": {"steps": 2},
    "occlusion": {"window": 48, "stride": 48},
    "smoothgrad": {"samples": 2},
}
HOOKS = [each for each in vars(nn.Module()) if each.endswith("_hooks")]
REFUSED = {("guided_backprop", "vit_tiny_patch16_224"): "needs a network with ReLUs"}
PAIRS = [(method, network) for method in METHODS for network in NETWORKS if (method, network) not in REFUSED]


@cache
def model(backbone: str) -> Classifier:
    """Its trunk frozen below a head that trains: mixed modes and flags to be left as they are.

    In double precision: in single, a ReLU or a pool near its edge may turn the other way in a batch of another size,
    and a gradient with it.
    """
    built = build_classifier(ModelOptions(name="a row", backbone=backbone, trained="head", head="linear"), 96, seed=0)
    return built.double().train()


def images(count: int, side: int = 96) -> Tensor:
    return torch.rand(count, 1, side, side, generator=torch.Generator().manual_seed(0))


def explain(network: Classifier, given: Tensor, method: str, **options: object) -> Attribution:
    return attribute(network, given, method, **(CHEAP.get(method, {}) | options))


@pytest.mark.parametrize(("method", "network"), PAIRS)
def test_a_batch_is_its_images_one_by_one_and_the_model_is_left_as_found(method: str, network: str) -> None:
    explained = model(network)
    before = _state(explained)
    together = explain(explained, images(2), method)
    alone = torch.cat([explain(explained, image[None], method).maps for image in images(2)])
    torch.testing.assert_close(together.maps, alone, rtol=1e-5, atol=1e-6 * float(alone.abs().max()))
    assert together.maps.isfinite().all() and together.maps.abs().max() > 0
    assert together.enlarged().shape == (2, 96, 96)
    assert not together.maps.requires_grad
    after = _state(explained)
    assert before.keys() == after.keys() and all(_same(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("method", "network"), REFUSED)
def test_a_network_that_a_method_is_not_defined_on_is_refused(method: str, network: str) -> None:
    before = _state(model(network))
    with pytest.raises(UserError, match=REFUSED[method, network]):
        explain(model(network), images(1), method)
    after = _state(model(network))
    assert all(_same(before[name], after[name]) for name in before)


def _state(network: Classifier) -> dict[str, object]:
    """All that a method could leave behind."""
    result: dict[str, object] = {f"tensor {name}": each.clone() for name, each in network.state_dict().items()}
    for name, each in network.named_parameters():
        result |= {f"gradient {name}": each.grad, f"flag {name}": each.requires_grad}
    for name, module in network.named_modules():
        hooks = [len(getattr(module, each)) for each in HOOKS]
        result |= {
            f"mode {name}": module.training,
            f"hooks {name}": hooks,
            f"forward {name}": "forward" in vars(module),
        }
    return result


def _same(a: object, b: object) -> bool:
    return torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b


class Small(Backbone):
    """A backbone that is quick enough to run hundreds of times."""

    map_layer = ""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 4, 3), nn.ReLU(inplace=True)
        )

    def forward(self, given: Tensor) -> Tensor:
        return self.layers(given)


def small(weight: float, outputs: int = 1) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        dense = nn.Linear(4 * 144, outputs)
        network = build_classifier(ModelOptions(name="a row"), 32, seed=0)
        network.backbone, network.head = Small(), nn.Sequential(nn.Flatten(), dense)
        with torch.no_grad():
            dense.weight.mul_(weight)
    return network.double()


@pytest.mark.parametrize("method", list(METHODS))
def test_no_evidence_gives_zeros_and_a_bare_image(method: str) -> None:
    result = explain(small(0.0), images(2, 16), method, **({"window": 4, "stride": 4} if method == "occlusion" else {}))
    assert not result.maps.any()
    bare = images(2, 16)[:, 0, :, :, None].expand(-1, -1, -1, 3)
    assert torch.equal(torch.from_numpy(overlay(images(2, 16), result)), bare)


@pytest.mark.parametrize("method", list(METHODS))
def test_the_batch_bounds_the_memory_and_changes_no_map(method: str) -> None:
    options = {"window": 8, "stride": 8} if method == "occlusion" else {}
    network, batch = small(1.0, outputs=3), images(5, 16)
    expected = explain(network, batch, method, target=[0, 1, 2, 1, 0], batch=16, **options)
    for size in (1, 3):
        result = explain(network, batch, method, target=[0, 1, 2, 1, 0], batch=size, **options)
        torch.testing.assert_close(result.maps, expected.maps, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("method", list(METHODS))
def test_memory_stays_flat_over_two_hundred_images(method: str, living: None) -> None:
    options = {"window": 8, "stride": 8} if method == "occlusion" else {}
    network = small(1.0)
    batch, alive = images(200, 16), []

    def count(*_: object) -> None:
        alive.append(sum(issubclass(type(each), Tensor) and each.numel() > 200 for each in gc.get_objects()))

    count()
    handle = network.backbone.register_forward_pre_hook(count)
    result = explain(network, batch, method, batch=20, **options)
    handle.remove()
    count()
    assert len(alive) > 10 and len(result.maps) == 200
    steps = (len(alive) - 2) // 10
    assert alive[-2] - alive[steps] <= 9, "more than a finished map is kept of each batch"
    assert alive[-1] == alive[0] + 1, "more than the maps is left behind"


@pytest.fixture
def living() -> Iterator[None]:
    """Lets `gc.get_objects` list only what is made from here on."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("method", list(METHODS))
def test_every_method_is_named_as_its_file_and_says_whose_it_is(method: str) -> None:
    kind = METHODS[method]
    assert kind.__module__ == f"cxrlens.explain.methods.{method}"
    assert kind.__doc__ and kind().displayed in ("positive", "magnitude", "signed")

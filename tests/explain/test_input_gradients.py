"""Methods that differentiate by the image: known answers, invariants, captum."""

from __future__ import annotations

import pytest
import torch
from captum.attr import GuidedBackprop, IntegratedGradients, Saliency
from torch import Tensor, nn

from cxrlens.errors import UserError
from cxrlens.explain.attribute import attribute
from cxrlens.models.backbones import Preprocessing
from cxrlens.models.classifier import Classifier, ModelOptions, build_classifier
from support.hand_set_networks import Formula, Layers, classifier, images, pooled

IMAGENET = Preprocessing((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def network(name: str = "resnet10t", side: int = 32) -> Classifier:
    model = build_classifier(ModelOptions(name="a row", backbone=name), side, seed=0).eval()
    model.set_preprocessing(IMAGENET)
    return model


def close(ours: Tensor, oracle: Tensor) -> None:
    torch.testing.assert_close(ours, oracle.detach(), rtol=1e-5, atol=1e-5 * float(oracle.detach().abs().max()))


def prepared(model: Classifier) -> Classifier:
    """The same network on what its backbone is given, [b, 3, h, w]."""
    return nn.Sequential(model.backbone, model.head)


def test_the_magnitude_of_saliency_is_captums_maximum_over_the_channels() -> None:
    model, batch = network(), images(side=32)
    oracle = Saliency(prepared(model)).attribute(model.prepare(batch).requires_grad_(), target=0).amax(1)
    result = attribute(model, batch, "saliency")
    close(result.evidence, oracle)
    assert (result.maps < 0).any() and (result.maps > 0).any(), "the sign is kept"


def test_saliency_by_the_grey_pixel_is_captums_signed_gradient() -> None:
    model, batch = network(), images(side=32)
    oracle = Saliency(model).attribute(batch.clone().requires_grad_(), abs=False)[:, 0]
    close(attribute(model, batch, "saliency", channels="grey").maps, oracle)


def test_the_largest_channel_keeps_its_sign() -> None:
    weights = torch.tensor([1.0, -3.0, 2.0]).view(1, 3, 1, 1)
    model = classifier(Layers(nn.Identity()), Formula(lambda x: (weights * x).sum((1, 2, 3))[:, None]))
    assert attribute(model, images(1, 4), "saliency").maps.unique().tolist() == [-3.0]
    assert attribute(model, images(1, 4), "saliency", channels="grey").maps.unique().tolist() == [0.0]


def test_integrated_gradients_of_a_formula_are_the_integrals_by_hand() -> None:
    """5x + y² + sin z from (.5, 1, 1) to (1, 2, 3)."""

    def formula(p: Tensor) -> Tensor:
        x, y, z = 0.5 + 0.5 * p[:, 0, 0, 0], 1 + p[:, 0, 0, 1], 1 + 2 * p[:, 0, 0, 2]
        return (5 * x + y**2 + z.sin())[:, None]

    model = classifier(Layers(nn.Identity()), Formula(formula))
    maps = attribute(model, torch.ones(1, 1, 1, 3), "integrated_gradients").maps[0, 0]
    expected = torch.tensor([2.5, 3.0, torch.tensor(3.0).sin() - torch.tensor(1.0).sin()])
    torch.testing.assert_close(maps, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("baseline", [0.0, 0.4])
def test_integrated_gradients_agree_with_captum_at_the_same_steps(baseline: float) -> None:
    model, batch = network(), images(side=32)
    oracle = IntegratedGradients(model).attribute(batch, baselines=baseline, n_steps=7)[:, 0]
    close(attribute(model, batch, "integrated_gradients", steps=7, baseline=baseline).maps, oracle.float())


def test_integrated_gradients_are_complete() -> None:
    model, batch = pooled(), images()
    maps = attribute(model, batch, "integrated_gradients", steps=128, batch=16).maps
    with torch.no_grad():
        torch.testing.assert_close(
            maps.sum((1, 2)), model(batch) - model(torch.zeros_like(batch)), rtol=0.01, atol=1e-4
        )


def test_smoothgrad_of_a_linear_network_is_its_gradient_and_without_noise_it_is_saliency() -> None:
    linear = classifier(
        Layers(nn.Identity()), Formula(lambda x: (x * torch.arange(16.0).view(4, 4)).sum((1, 2, 3))[:, None])
    )
    torch.testing.assert_close(attribute(linear, images(1, 4), "smoothgrad").maps[0], torch.arange(16.0).view(4, 4))
    model, batch = network(), images(side=32)
    close(attribute(model, batch, "smoothgrad", noise=0, samples=2).maps, attribute(model, batch, "saliency").maps)


def test_smoothgrads_noise_is_a_share_of_each_images_range_and_hangs_on_the_seed_alone() -> None:
    square = classifier(
        Layers(nn.Identity()), Formula(lambda x: (x**2).sum((1, 2, 3))[:, None] / 2)
    )  # its gradient is x

    def seen(image: Tensor, **options: object) -> Tensor:
        return attribute(square, image, "smoothgrad", samples=1, noise=0.1, **options).maps - image[:, 0]

    image = images(1, 64)
    noise = seen(image)
    span = float(image.max() - image.min())
    assert abs(noise.std() / span - 0.1) < 0.005
    assert torch.equal(noise, seen(image)) and not torch.equal(noise, seen(image, seed=1))
    torch.testing.assert_close(seen(image / 2), noise / 2, rtol=1e-4, atol=1e-5)


def test_guided_backpropagation_agrees_with_captum_where_captum_can() -> None:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.ReLU()
    model = classifier(Layers(*layers), nn.Sequential(nn.Flatten(), nn.Linear(4 * 144, 1)))
    model.size = 16
    batch = images(side=16)
    with pytest.warns(UserWarning, match="Setting backward hooks"):
        oracle = GuidedBackprop(prepared(model)).attribute(model.prepare(batch).requires_grad_(), target=0)
    channel = oracle.abs().argmax(1, keepdim=True)
    result = attribute(model, batch, "guided_backprop")
    close(result.maps, oracle.gather(1, channel)[:, 0])
    assert "Adebayo" in result.warning and not attribute(model, batch, "saliency").warning


@pytest.mark.parametrize(
    "rule",
    [nn.ReLU(inplace=True), Formula(nn.functional.relu), Formula(torch.relu), Formula(lambda x: x.clone().relu_())],
)
def test_a_relu_is_guided_however_it_is_called(rule: nn.Module) -> None:
    """Logit Σ w·relu(x): guided, only where x and w are both positive."""
    weights = torch.tensor([1.0, -1.0, 1.0, -1.0])
    model = classifier(
        Layers(nn.Identity()), Formula(lambda x: (rule(x[:, 0, 0] - 0.5) * weights).sum(1, keepdim=True))
    )
    image = torch.tensor([0.9, 0.9, 0.1, 0.1]).view(1, 1, 1, 4)
    assert attribute(model, image, "guided_backprop").maps.flatten().tolist() == [1.0, 0.0, 0.0, 0.0]


@pytest.mark.parametrize("rule", [nn.ReLU6(inplace=True), Formula(nn.functional.relu6)])
def test_a_relu6_passes_nothing_above_6_either(rule: nn.Module) -> None:
    model = classifier(Layers(nn.Identity()), Formula(lambda x: rule(10 * x[:, 0, 0]).sum(1, keepdim=True)))
    image = torch.tensor([0.3, 0.9]).view(1, 1, 1, 2)
    assert attribute(model, image, "guided_backprop").maps.flatten().tolist() == [10.0, 0.0]


def test_guided_backpropagation_refuses_a_network_without_relus() -> None:
    model = classifier(Layers(nn.GELU()), Formula(lambda x: x.sum((1, 2, 3))[:, None]))
    with pytest.raises(UserError, match="needs a network with ReLUs"):
        attribute(model, images(1, 4), "guided_backprop")

"""Which units Figure 3 shows."""

import torch

from cxrlens.explain.activation_maximization.objectives import choose_units, contributions
from cxrlens.explain.layers import default_layer, find_layer, units_layer
from cxrlens.models.classifier import ModelOptions, build_classifier
from support.hand_set_networks import images, pooled


def test_contributions_sum_to_the_logit_less_the_bias() -> None:
    model, batch = pooled(), images(5)
    added = contributions(model, batch, default_layer(model), batch=2)
    dense = model.head[-1]
    torch.testing.assert_close(added.sum(1), (model(batch) - dense.bias).detach().flatten(), rtol=1e-4, atol=1e-5)


def test_the_largest_effect_comes_first_whatever_its_sign() -> None:
    added = torch.tensor([[0.1, -5.0, 2.0, 0.0], [0.3, -4.0, -3.0, 0.0]])
    assert choose_units(added, 3, "effect", 0) == [1, 2, 0]
    assert choose_units(added, 9, "effect", 0) == [1, 2, 0, 3]


def test_a_random_choice_is_the_seeds_and_has_no_unit_twice() -> None:
    added = torch.zeros(1, 64)
    first, again, other = (choose_units(added, 10, "seed", seed) for seed in (0, 0, 1))
    assert first == again != other
    assert len(set(first)) == 10 and max(first) < 64


def test_units_are_taken_before_the_relu_and_count_as_the_maps_channels() -> None:
    expected = {
        ("tf_efficientnet_lite0", "linear"): "backbone.network.conv_head",
        ("tf_efficientnet_lite0", "conv"): "head.0",
        ("densenet121", "linear"): default_layer(_network("densenet121", "linear")),
        ("benchmark_cnn", "dense"): "backbone.relu2",
        ("vit_tiny_patch16_224", "linear"): "backbone",
    }
    for (backbone, head), layer in expected.items():
        model = _network(backbone, head)
        assert units_layer(model) == layer
        find_layer(model, layer)
    lite = _network("tf_efficientnet_lite0", "linear")
    assert find_layer(lite, units_layer(lite)).out_channels == lite.backbone.channels


def _network(backbone: str, head: str):
    return build_classifier(ModelOptions(name="a row", backbone=backbone, head=head), 96, seed=0)

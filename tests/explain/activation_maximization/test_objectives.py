"""What is measured, and that nothing beyond it runs."""

from __future__ import annotations

import pytest
import torch

from cxrlens.config import parse
from cxrlens.errors import UserError
from cxrlens.explain.activation_maximization import Objective, Unit, reference_activations
from cxrlens.explain.activation_maximization.objectives import measuring, value_of, values_of
from cxrlens.models.classifier import ModelOptions, build_classifier
from support.maximized_networks import small

SECOND = Objective.channel("second", 3)


def test_a_channel_is_the_mean_of_its_map() -> None:
    model, images = small().eval(), torch.rand(2, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    with measuring(model, [SECOND]) as measure:
        value = value_of(SECOND, measure(images))
    torch.testing.assert_close(value, model.features(images)[:, 3].mean((1, 2)))


def test_the_logit_is_the_classifier_s() -> None:
    model, images = small().eval(), torch.rand(2, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    with measuring(model, [Objective.logit()]) as measure:
        torch.testing.assert_close(value_of(Objective.logit(), measure(images)), model(images))


def test_sums_and_differences_are_those_of_the_means() -> None:
    means = {"a": torch.tensor([[1.0, 2.0]]), "logit": torch.tensor([[10.0]])}
    both = Objective.channel("a", 0) - 0.5 * Objective.channel("a", 1) + Objective.logit()
    assert value_of(both, means).tolist() == [10.0]
    assert value_of(Objective.logit() - both, means).tolist() == [0.0]
    assert both.title == "a 0 - 0.5 a 1 + logit" and both.layers == {"a", "logit"}


def test_every_row_has_its_own_objective() -> None:
    means = {"a": torch.tensor([[1.0, 2.0], [3.0, 4.0]])}
    rows = [Objective.channel("a", 1), Objective.channel("a", 0)]
    assert values_of(rows, means).tolist() == [2.0, 3.0]


def test_layers_beyond_the_target_never_run_and_a_logit_runs_them() -> None:
    model, images = small(), torch.zeros(1, 3, 24, 24)
    with measuring(model, [SECOND]) as measure:
        measure(images)
    assert model.backbone.beyond.runs == 0
    with measuring(model, [SECOND, Objective.logit()]) as measure:
        measure(images)
    assert model.backbone.beyond.runs == 1


def test_a_map_that_is_overwritten_in_place_later_is_measured_as_it_was() -> None:
    model, images = small(), torch.rand(1, 3, 24, 24, generator=torch.Generator().manual_seed(0))
    early = Objective.channel("norm", 2)
    with measuring(model, [early]) as measure:
        alone = value_of(early, measure(images))
    with measuring(model, [early, SECOND]) as measure:  # goes on through the in-place ReLU
        torch.testing.assert_close(value_of(early, measure(images)), alone)


def test_a_module_that_runs_twice_counts_the_first_time() -> None:
    model = build_classifier(ModelOptions(name="b"), 16, 0)
    with measuring(model, [Objective.channel("pool", 0)]) as measure:
        assert measure(torch.zeros(1, 3, 16, 16))["pool"].shape == (1, 32)


def test_the_model_is_left_as_it_was_found_even_after_an_error() -> None:
    model = small().train()
    model.backbone.norm.eval()
    before = {name: each.clone() for name, each in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="mine"), measuring(model, [SECOND]) as measure:
        assert not model.training
        measure(torch.rand(2, 3, 24, 24))
        raise RuntimeError("mine")
    assert model.training and model.backbone.training and not model.backbone.norm.training
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(before[name], each) for name, each in model.state_dict().items())
    assert all(each.grad is None and each.requires_grad for each in model.parameters())


def test_a_vit_s_tokens_and_a_network_with_channels_last_are_averaged_over_all_but_channels() -> None:
    row = ModelOptions(name="v", backbone="vit_tiny_patch16_224", head="linear")
    with measuring(build_classifier(row, 32, 0), [Objective.channel("blocks.0", 0)]) as measure:
        assert measure(torch.zeros(2, 3, 32, 32))["blocks.0"].shape == (2, 192)
    model = build_classifier(ModelOptions(name="s", backbone="swin_tiny_patch4_window7_224", head="linear"), 64, 0)
    expected = [Objective.channel("patch_embed.proj", 0), Objective.channel("layers.1", 0)]
    with measuring(model, expected) as measure:
        means = measure(torch.zeros(1, 3, 64, 64))
    assert means["patch_embed.proj"].shape == (1, 96) and means["layers.1"].shape == (1, 192)


def test_a_layer_of_the_head_goes_by_its_own_name() -> None:
    model = build_classifier(ModelOptions(name="d", backbone="densenet121", head="conv"), 96, 0)
    with measuring(model, [Objective.channel("head.0", 63)]) as measure:
        assert measure(torch.zeros(1, 3, 96, 96))["head.0"].shape == (1, 64)


def test_a_misspelt_layer_and_a_channel_too_many_are_told() -> None:
    model = small()
    with pytest.raises(UserError, match=r"unknown layer 'secnd'; did you mean 'second'\?"):
        measuring(model, [Objective.channel("secnd", 0)]).__enter__()
    with measuring(model, [SECOND]) as measure:
        means = measure(torch.zeros(1, 3, 24, 24))
    with pytest.raises(UserError, match="layer 'second' has channels 0 to 7; got 8"):
        value_of(Objective.channel("second", 8), means)


def test_a_layer_that_never_runs_and_one_without_a_map_are_told() -> None:
    model = small()
    model.backbone.aside = torch.nn.ReLU()
    aside = Objective.channel("aside", 0)
    with measuring(model, [aside]) as measure, pytest.raises(UserError, match="'aside' never runs"):
        value_of(aside, measure(torch.zeros(1, 3, 24, 24)))
    model.backbone.beyond.forward = lambda features: (features, features)
    with measuring(model, [Objective.channel("beyond", 0)]) as measure, pytest.raises(UserError, match="gives tuple"):
        measure(torch.zeros(1, 3, 24, 24))


def test_a_second_logit_is_refused() -> None:
    with pytest.raises(UserError, match="the logit has one channel, 0; got"):
        Unit(channel=1)
    with pytest.raises(UserError, match="unknown key"):
        parse(Objective, {"unit": []}, "[figure]")


def test_the_cohort_s_activations_are_those_of_each_image() -> None:
    model, images = small().eval(), torch.rand(5, 1, 24, 24, generator=torch.Generator().manual_seed(0))
    result = reference_activations(model, [SECOND, Objective.logit()], images, batch=2)
    assert result.shape == (2, 5)
    torch.testing.assert_close(torch.from_numpy(result[1]), model(images).detach())
    torch.testing.assert_close(torch.from_numpy(result[0]), model.features(images)[:, 3].mean((1, 2)).detach())

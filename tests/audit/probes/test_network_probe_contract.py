"""Every probe of a trained network, whatever it asks: it answers or refuses, and leaves no trace."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from cxrlens.audit.audit_options import AuditOptions
from cxrlens.audit.base import AuditResult, plain_result
from cxrlens.audit.case import ModelCase
from cxrlens.audit.network import chosen_probes
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.config import parse
from cxrlens.errors import UserError
from support.network_cases import CENTRE, asked, brightened, half, network, network_case, no_lungs, noise

NAMES = [name for name in PROBES if issubclass(PROBES[name], ModelProbe)]
OF_LUNGS = {"lungs_removed", "lungs_only", "lungs_removed_retrained", "lungs_only_retrained"}
WHATEVER_THE_LABEL = {"source_probe", "severity"}  # the source from the features; severity, of positives alone
COUNT, SIDE = 48, 64


def again(trained: Tensor, labels: np.ndarray, evaluated: Tensor) -> np.ndarray:
    assert len(trained) == len(labels)
    return evaluated.mean((1, 2, 3)).double().numpy()


@pytest.fixture(scope="module")
def case() -> ModelCase:
    """All that any probe may ask for."""
    greys = brightened(noise(COUNT, side=SIDE), CENTRE, half(COUNT))
    model = network(
        lambda grey: torch.stack([grey[:, CENTRE[0], CENTRE[1]].mean((1, 2)), grey[:, :9].mean((1, 2))], 1), 2
    )
    columns = {
        "source": [f"s{row // 2 % 3}" for row in range(COUNT)],
        "site": [f"h{row // 2 % 2}" for row in range(COUNT)],
        "view": [("PA", "AP", None)[row // 2 % 3] for row in range(COUNT)],
    }
    severity = {"extent": np.where(half(COUNT), np.arange(COUNT, dtype=float), np.nan)}
    return network_case(model, greys, half(COUNT), columns=columns, severity=severity, retrain=again)


def of_one_class(case: ModelCase, positive: bool) -> ModelCase:
    labels = np.full(COUNT, positive)
    return replace(case, labels=labels, training=replace(case.training, labels=labels))


def records(findings: list[AuditResult]) -> list[str]:
    return [json.dumps(plain_result(each), allow_nan=False) for each in findings]


def is_refusal(finding: AuditResult) -> bool:
    numbers = [finding.value, finding.low, finding.high, finding.p]
    return bool(np.isnan(numbers).all() and finding.verdict == "undecided" and finding.reason)


@pytest.mark.parametrize("name", NAMES)
def test_it_answers_in_full(case: ModelCase, name: str) -> None:
    findings = asked(name, case)
    assert findings
    for each in findings:
        assert (each.probe, each.model) == (name, case.name) and np.isfinite(each.value), each.reason
        assert each.low <= each.value <= each.high
        assert each.limits and each.direction and each.statistic and each.sentence.endswith(".")
        assert json.loads(records([each])[0])["verdict"] in ("flag", "clear", "undecided")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("positive", [True, False])
def test_images_of_one_class_get_a_reason_and_no_number(case: ModelCase, name: str, positive: bool) -> None:
    findings = asked(name, of_one_class(case, positive))
    assert findings
    records(findings)
    if name not in WHATEVER_THE_LABEL:
        assert all(is_refusal(each) for each in findings)
    assert all(np.isfinite(each.value) or each.reason for each in findings)


@pytest.mark.parametrize("name", NAMES)
def test_where_nobody_knows_the_lungs_those_who_ask_for_them_say_why(case: ModelCase, name: str) -> None:
    without = replace(case, lungs=no_lungs(COUNT), training=replace(case.training, lungs=no_lungs(COUNT)))
    findings = asked(name, without)
    records(findings)
    if name in OF_LUNGS:
        assert all(is_refusal(each) and "masks are one-sided" in each.reason for each in findings)
    else:
        assert all(np.isfinite(each.value) for each in findings)


@pytest.mark.parametrize("name", NAMES)
def test_one_image_of_a_class_is_no_trouble(case: ModelCase, name: str) -> None:
    labels = np.arange(COUNT) == 5
    one = replace(case, labels=labels, training=replace(case.training, labels=labels))
    assert all(np.isfinite(each.value) or is_refusal(each) for each in asked(name, one))


@pytest.mark.parametrize("name", NAMES)
def test_the_same_case_twice_is_the_same_answer_and_no_trace_is_left(case: ModelCase, name: str) -> None:
    model = case.model
    state = {key: value.clone() for key, value in model.state_dict().items()}
    pixels, logits = case.pixels.clone(), case.logits.copy()
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    torch.manual_seed(1)
    before = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    first = records(asked(name, case))
    assert records(asked(name, case)) == first
    after = (random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist())  # noqa: NPY002
    assert after == before
    assert not any(each.training for each in model.modules())
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    assert not any(getattr(each, kind) for each in model.modules() for kind in hooks)
    assert all(each.grad is None and each.requires_grad for each in model.parameters())
    assert torch.equal(case.pixels, pixels) and np.array_equal(case.logits, logits)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_shows_the_network_is_as_many_images_in_range(case: ModelCase, name: str) -> None:
    rows = np.array([4, 0, 9])
    altered = PROBES[name]().altered(case, rows)
    if altered is not None:
        assert altered.shape == (3, 1, SIDE, SIDE) and altered.dtype == torch.float32
        assert altered.min() >= 0 and altered.max() <= 1
        apart = torch.cat([PROBES[name]().altered(case, rows[[each]]) for each in range(3)])
        torch.testing.assert_close(altered, apart)


def test_those_who_train_wait_until_they_are_named() -> None:
    by_choice = {name for name in NAMES if PROBES[name]().by_choice}
    parts = {"lungs_removed_retrained", "lungs_only_retrained", "border_only_retrained"}
    assert by_choice == parts | {"permuted_labels_retrained"}
    assert set(chosen_probes((), {})) == set(NAMES) - by_choice
    assert set(chosen_probes(("permuted_labels_retrained",), {})) == set(NAMES) - parts


def test_a_study_leaves_out_tests_of_the_networks_and_no_others() -> None:
    default = set(chosen_probes((), {}))
    assert set(chosen_probes((), {}, ("planted_marker", "text"))) == default - {"planted_marker", "text"}
    assert "text" in chosen_probes(("text",), {}, ("text",)), "whoever asks for it by name gets it"
    assert parse(AuditOptions, {"skip": ["text"]}, "[audit]").skip == ("text",)
    for name, message in (("metadata_only", "only tests of the networks"), ("txet", "did you mean 'text'")):
        with pytest.raises(UserError, match=message):
            parse(AuditOptions, {"skip": [name]}, "[audit]")
    with pytest.raises(UserError, match=r"corners, .*got 'lungs_removed_retrained'"):
        parse(AuditOptions, {"skip": ["lungs_removed_retrained"]}, "[audit]")


def test_an_unknown_name_is_answered_with_the_nearest_and_a_cohorts_with_where_it_is_asked() -> None:
    with pytest.raises(UserError, match="unknown probe 'cornrs'; did you mean 'corners'"):
        chosen_probes(("cornrs",), {})
    with pytest.raises(UserError, match="'metadata_only' examines the cohort"):
        chosen_probes(("metadata_only",), {})


def test_options_reach_their_probe_and_a_wrong_one_is_named() -> None:
    assert chosen_probes((), {"corners": {"width": 0.2}})["corners"].model_dump() == {"width": 0.2, "height": 0.15}
    with pytest.raises(UserError, match=r"\[audit.options.corners\].*did you mean 'width'"):
        chosen_probes((), {"corners": {"widht": 0.2}})

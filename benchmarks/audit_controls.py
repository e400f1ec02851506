"""Does the audit see a planted marker, and does it keep silent without one? Many small data sets of the phantom.

A data set is 600 phantom patients, one X-ray each, drawn from a pool; half train a small CNN, half are audited. For
each, the network is trained and audited without a marker ("absent"), with a corner marker on a share of the positive
images alone ("planted") and on that share of all images ("balanced"). The strength of a marker is the held-out AUC that
it adds, on average over the data sets. An alarm is a flag by the corners, text or border probe, after the correction
that the audit makes over its probes. Every row is written as it is made, so that the benchmark may be stopped and
started again.

`audit_controls.csv` has the rates of the last measurement, as docs/audit.md has them. `python
benchmarks/audit_controls.py --draw docs/audit-detection.png` draws the figure from it, without measuring.
"""

from __future__ import annotations

import argparse
import csv
import platform
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from cxrlens.audit.ablation import LEFT, LOST
from cxrlens.audit.base import AuditResult, IntervalOptions, settle, verdict_of
from cxrlens.audit.case import ImageSet, ModelCase
from cxrlens.audit.lungs.masks import squared
from cxrlens.audit.lungs.regions import Lungs
from cxrlens.audit.probes import PROBES, ModelProbe
from cxrlens.data.augment import Augmentation
from cxrlens.data.images import to_uint8
from cxrlens.data.phantom import PhantomOptions, render
from cxrlens.data.phantom.markers import plant
from cxrlens.data.seeds import generator
from cxrlens.evaluate.auc import auc
from cxrlens.models.backbones import UNIT, Backbone
from cxrlens.models.classifier import Classifier, seeded
from cxrlens.pipeline.audit.cases import ArrayImages
from cxrlens.train.device import choose_device
from cxrlens.train.inputs import FixedImages, LabelledImages
from cxrlens.train.loop import Fit, train
from cxrlens.train.training_options import TrainingOptions

SIZE, RENDERED, PATIENTS = 64, 192, 600
SHARES = (0.1, 0.2, 0.35, 0.5)
ASKED = ("corners", "text", "border_only", "lungs_removed")  # corrected together, as in an audit of one network
ALARM = ("corners", "text", "border_only")
TRAINING = TrainingOptions(batch=50, epochs=12, learning_rate=3e-3)
FIELDS = ["data set", "kind", "share", "auc", "probe", "value", "low", "high", "p_holm", "verdict"]


class Small(Backbone):
    """Three strided convolutions with BatchNorm, averaged to 4 × 4: 6,000 parameters."""

    channels = 32
    architecture = "small"

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = 3
        for channels, kernel in ((8, 5), (16, 3), (32, 3)):
            convolution = nn.Conv2d(before, channels, kernel, stride=2, padding=kernel // 2)
            layers += [convolution, nn.BatchNorm2d(channels), nn.ReLU()]
            before = channels
        self.network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(4))

    def forward(self, images: Tensor) -> Tensor:
        """[b, 3, h, w] → [b, 32, 4, 4]."""
        return self.network(images)


def pool(folder: Path, count: int, strength: float) -> dict[str, np.ndarray]:
    """`pixels` uint8 [n, RENDERED, RENDERED], `labels` and `lungs` of the patients, drawn once and kept."""
    path = folder / f"pool-{count}-{strength:g}.npz"
    if not path.exists():
        options = PhantomOptions(size=RENDERED, strength=strength, seed=11)
        pixels, labels, lungs = [], [], []
        for patient in range(count):
            drawn = render(patient, 1, options)
            pixels.append(to_uint8(drawn.pixels, RENDERED, "bilinear"))
            lungs.append(squared(drawn.lungs, SIZE))
            labels.append(drawn.facts.label)
            if patient % 500 == 0:
                print(f"pool: {patient} of {count} drawn", flush=True)
        np.savez_compressed(path, pixels=np.stack(pixels), labels=np.array(labels, bool), lungs=np.stack(lungs))
    with np.load(path) as opened:
        return dict(opened)


def marked(pixels: np.ndarray, share: np.ndarray, rng: np.random.Generator) -> Tensor:
    """float32 [n, 1, SIZE, SIZE]: the images, each with the marker with its own probability."""
    found = []
    for image, chance in zip(pixels, share, strict=True):
        drawn = image.astype(np.float32) / 255
        if rng.random() < chance:
            plant(drawn, rng)
        found.append(to_uint8(drawn[None], SIZE, "bilinear"))
    return torch.from_numpy(np.stack(found).astype(np.float32) / 255)[:, None]


def network(seed: int) -> Classifier:
    """Random, from its seed."""
    with seeded(seed):
        return Classifier(Small(), nn.Sequential(nn.Flatten(), nn.Linear(32 * 16, 1)), SIZE, UNIT)


def trained_case(data: dict[str, np.ndarray], number: int, positive: float, negative: float, draws: int) -> ModelCase:
    """A data set's network and what the audit is given of it; the same patients whatever the marker."""
    rows = generator(number).choice(len(data["labels"]), PATIENTS, replace=False)
    rng, device = generator(number, 1), choose_device("cpu")
    labels = data["labels"][rows]
    pixels = marked(data["pixels"][rows], np.where(labels, positive, negative), rng)
    inside, outside = slice(0, PATIENTS // 2), slice(PATIENTS // 2, None)
    sides = [
        LabelledImages(
            ArrayImages(pixels[side]), tuple(map(str, range(PATIENTS // 2))), labels[side].astype(np.float32)
        )
        for side in (inside, outside)
    ]
    model = network(number)
    train(Fit(model, sides[0], sides[1], TRAINING, Augmentation(), number, 0, device))
    lungs = [Lungs(data["lungs"][rows[side]], np.ones(PATIENTS // 2, bool), "masks") for side in (inside, outside)]
    names = np.array([f"P{row}" for row in rows])
    return ModelCase(
        "small", model.eval(), device, tuple(names[outside]), pixels[outside], labels[outside], names[outside],
        FixedImages(model, sides[1], device).logits().astype(float), pd.DataFrame({"image": names[outside]}), lungs[1],
        ImageSet(pixels[inside], labels[inside], names[inside], lungs[0]), IntervalOptions(draws=draws),
    )  # fmt: skip


def audited(case: ModelCase) -> list[AuditResult]:
    """The probes' findings, settled."""
    found: list[AuditResult] = []
    for name in ASKED:
        probe = PROBES[name]()
        assert isinstance(probe, ModelProbe)
        found += probe.results(case)
    return settle(found, case.intervals.level)


def measure(data: dict[str, np.ndarray], path: Path, sets: range, draws: int) -> None:
    """Writes the rows of the data sets that are not there yet."""
    kinds = [("absent", 0.0), *((kind, share) for share in SHARES for kind in ("planted", "balanced"))]
    done = set(pd.read_csv(path)["data set"]) if path.exists() else set()
    for number in sets:
        if number in done:
            continue
        rows, began = [], time.monotonic()
        for kind, share in kinds:
            case = trained_case(data, number, share, share if kind == "balanced" else 0.0, draws)
            value = auc(case.labels.astype(float), case.logits)
            for found in audited(case):
                ends = (found.value, found.low, found.high, found.p_holm)
                rows.append(
                    [number, kind, share, f"{value:.4f}", found.probe, *(f"{x:.4f}" for x in ends), found.verdict]
                )
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(FIELDS)
            writer.writerows(rows)
        print(f"data set {number}: {time.monotonic() - began:.1f} s", flush=True)


def flags(table: pd.DataFrame) -> pd.Series:
    """Whether each row is a flag, from its numbers."""
    bars = {"corners": LOST, "text": LOST, "border_only": LEFT, "lungs_removed": LEFT}
    numbers = zip(table["value"], table["high"], table["p_holm"], table["probe"], strict=True)
    return pd.Series([verdict_of(v, high, p, bars[probe]) == "flag" for v, high, p, probe in numbers], table.index)


def alarms(table: pd.DataFrame) -> pd.DataFrame:
    """A row a network: data set, kind, share, AUC, and whether there was an alarm."""
    chosen = table[table["probe"].isin(ALARM)].assign(alarm=flags(table))
    return chosen.groupby(["data set", "kind", "share"], as_index=False).agg(
        auc=("auc", "first"), alarm=("alarm", "any")
    )


def rates(found: pd.DataFrame) -> pd.DataFrame:
    """A row a kind and share: strength, alarms of how many, and the rate with Wilson's interval."""
    absent = found[found["kind"] == "absent"].set_index("data set")["auc"]
    rows = []
    for (kind, share), part in found.groupby(["kind", "share"]):
        added = part["auc"].to_numpy() - absent.loc[part["data set"]].to_numpy()
        count, total = int(part["alarm"].sum()), len(part)
        ends = binomtest(count, total).proportion_ci(method="wilson")
        rows.append([kind, share, part["auc"].mean(), added.mean(), count, total, count / total, ends.low, ends.high])
    columns = ["kind", "share", "auc", "strength", "alarms", "data sets", "rate", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def with_intervals(counts: pd.DataFrame) -> pd.DataFrame:
    """The counts of alarms with the rate and Wilson's interval: columns `rate`, `low` and `high`."""
    tests = [binomtest(int(row["alarms"]), int(row["data sets"])) for _, row in counts.iterrows()]
    ends = [test.proportion_ci(method="wilson") for test in tests]
    return counts.assign(
        rate=[test.statistic for test in tests], low=[end.low for end in ends], high=[end.high for end in ends]
    )


def draw(table: pd.DataFrame, path: Path) -> None:
    """Detection and false alarms over the share of images with the marker; each strength stands beside its point."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6.4, 3.8), layout="constrained")
    series = {
        "planted": ("C0", "o", "marker on positive images alone\n(numbers: AUC that it adds)"),
        "balanced": ("C1", "s", "marker on both classes alike\n(adds 0.000 to 0.004)"),
        "absent": ("0.3", "D", "no marker"),
    }
    for kind, (colour, sign, label) in series.items():
        part = table[table["kind"] == kind].sort_values("share")
        ends = np.abs(part[["low", "high"]].to_numpy() - part[["rate"]].to_numpy()).T
        axes.errorbar(100 * part["share"], part["rate"], ends, color=colour, marker=sign, capsize=3, label=label)
    for _, row in table[table["kind"] == "planted"].iterrows():
        place = (100 * row["share"] - 1, row["rate"] + 0.01 - (0.16 if row["rate"] == 1 else 0))
        axes.annotate(f"+{row['strength']:.3f}", place, ha="right", color="C0")
    axes.axhline(0.95, color="0.6", lw=0.8, ls="--")
    axes.axhline(0.05, color="0.6", lw=0.8, ls="--")
    axes.set(
        xlabel="images with the marker, % (of the positive images, or of both classes)",
        ylabel="share of data sets with an alarm",
        ylim=(-0.02, 1.04),
        xlim=(-2, 53),
    )
    axes.legend(frameon=False, loc="center right")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Measures, and prints the rates."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path)
    parser.add_argument("--draw", type=Path, help="only draw this figure, from audit_controls.csv")
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--pool", type=int, default=6000)
    parser.add_argument("--strength", type=float, default=1.0, help="of the findings")
    parser.add_argument("--draws", type=int, default=1000)
    asked = parser.parse_args()
    if asked.draw is not None:
        draw(with_intervals(pd.read_csv(Path(__file__).with_suffix(".csv"))), asked.draw)
        return
    if asked.out is None:
        parser.error("--out is needed, or --draw")
    torch.set_num_threads(1)
    print(f"{platform.machine()}, 1 thread, torch {torch.__version__}, Python {platform.python_version()}")
    asked.out.mkdir(parents=True, exist_ok=True)
    data = pool(asked.out, asked.pool, asked.strength)
    path = asked.out / f"rows-{asked.first}.csv"
    measure(data, path, range(asked.first, asked.first + asked.sets), asked.draws)
    table = pd.concat([pd.read_csv(each) for each in sorted(asked.out.glob("rows-*.csv"))], ignore_index=True)
    found = rates(alarms(table))
    print(found.round(3).to_string(index=False))
    of_probe = table[flags(table)].groupby(["kind", "share", "probe"]).size().unstack(fill_value=0)
    print(of_probe.to_string())
    found.to_csv(asked.out / "rates.csv", index=False)
    draw(found, asked.out / "detection.png")


if __name__ == "__main__":
    main()

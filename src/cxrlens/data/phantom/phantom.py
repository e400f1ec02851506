"""Renders a phantom X-ray from two seeds: that of the patient and that of the image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from cxrlens.data.phantom.body import Body, Facts, PhantomOptions, draw_body, draw_facts, stream
from cxrlens.data.phantom.exposure import SITES, Site, develop, draw_exposure
from cxrlens.data.phantom.findings import make_finding
from cxrlens.data.phantom.grid import Grid, Pose, cloud, make_grid
from cxrlens.data.phantom.markers import devices, letter, plant
from cxrlens.data.phantom.organs import make_chest
from cxrlens.data.phantom.skeleton import skeleton, splat

# The vessels of the lungs: trees that branch from the hila and become thinner towards the periphery.

# The trunks of a lung: angle from straight outwards (downwards positive), length in cm, radius in cm.
_TRUNKS = (
    (-1.25, 2.4, 0.34), (-0.75, 2.3, 0.28), (-0.25, 2.2, 0.24), (0.3, 2.3, 0.26), (0.75, 2.6, 0.36),
    (1.05, 3.0, 0.62), (1.3, 3.2, 0.44), (-1.0, 1.6, 0.4), (0.5, 1.5, 0.36),
)  # fmt: skip
_DEPTH = 7


def vessels(grid: Grid, body: Body, dome: float) -> np.ndarray:
    """Length of vessels along the beam, float32 [height, width] in cm.

    Args:
        grid: image plane.
        body: build of the patient.
        dome: height of the right dome, in cm below the apex.
    """
    rng = np.random.default_rng([body.corner, 2])
    points, masses = [], []
    for side in (-1.0, 1.0):
        start = np.array([side * 2.9 - (0.3 if side < 0 else 0.0), 10.4 if side < 0 else 9.6, 0.0])
        trunks = np.array(_TRUNKS)
        angle = trunks[:, 0] + rng.normal(0, 0.12, len(trunks))
        length, radius = (
            trunks[:, 1] * rng.uniform(0.85, 1.2, len(trunks)),
            trunks[:, 2] * rng.uniform(0.85, 1.1, len(trunks)),
        )
        place = np.broadcast_to(start, (len(trunks), 3)) + rng.normal(0, 1.0, (len(trunks), 3)) * np.array(
            [0.5, 1.0, 1.0]
        )
        lean = rng.normal(0, 0.5, len(trunks))
        for generation in range(_DEPTH):
            steps, across = (28, 11) if generation < 3 else (max(8, int(1.1 * grid.scale)), 3)
            path, thick = _branches(place, angle, lean, length, radius, side, steps, rng)
            point, mass = _sample(path, thick, across)
            points.append(point)
            masses.append(mass)
            place = np.repeat(path[:, -1], 2, axis=0)
            fork = np.tile([-1.0, 1.0], len(angle)) * np.repeat(rng.uniform(0.18, 0.55, len(angle)), 2)
            angle = np.repeat(angle, 2) + fork + rng.normal(0, 0.12, 2 * len(angle))
            angle = np.clip(angle, -2.0, 1.9)
            lean = np.clip(np.repeat(lean, 2) + rng.normal(0, 0.35, len(angle)), -1.2, 1.2)
            uneven = np.stack([rng.uniform(0.6, 0.85, len(radius)), rng.uniform(0.65, 0.9, len(radius))], 1).ravel()
            radius = np.repeat(radius, 2) * uneven
            length = np.repeat(length, 2) * rng.uniform(0.65, 1.0, len(angle))
    tree = splat(grid, np.concatenate(points), np.concatenate(masses))
    tree = ndimage.gaussian_filter(tree, 0.06 * grid.scale)
    return (body.vessels * 1.3 * (1 - np.exp(-tree / 1.3))).astype(np.float32)


def _branches(
    place: np.ndarray,
    angle: np.ndarray,
    lean: np.ndarray,
    length: np.ndarray,
    radius: np.ndarray,
    side: float,
    steps: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Paths [n, steps, 3] and radii [n, steps] of a generation of slightly bent branches."""
    t = np.linspace(0, 1, steps)
    bent = angle[:, None] + rng.normal(0, 0.35, len(angle))[:, None] * (t - 0.5)
    step = (length / (steps - 1))[:, None]
    flat = np.cos(lean)[:, None] * step
    move = np.stack(
        [side * np.cos(bent) * flat, np.sin(bent) * flat, np.broadcast_to(np.sin(lean)[:, None] * step, bent.shape)], -1
    )
    move[:, 0] = 0
    return place[:, None] + np.cumsum(move, axis=1), radius[:, None] * (1 - 0.2 * t)


def _sample(path: np.ndarray, thick: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples branches with `count` points across each step, weighted by the chord of a cylinder."""
    step = np.gradient(path, axis=1)
    length = np.linalg.norm(step, axis=-1)
    across = np.stack([-step[..., 1], step[..., 0], np.zeros_like(length)], -1)
    across /= np.maximum(np.linalg.norm(across, axis=-1, keepdims=True), 1e-6)
    offsets = (np.arange(count) + 0.5) / count * 2 - 1
    points = path[..., None, :] + (across * thick[..., None])[..., None, :] * offsets[:, None]
    chord = 2 * thick[..., None] * np.sqrt(1 - offsets**2)
    mass = chord * (length * thick * 2 / count)[..., None]
    return points.reshape(-1, 3), mass.ravel()


TISSUE, LUNG, BONE = 0.150, 0.036, 0.34  # nepers per cm at chest energies; lung has a quarter of the density of tissue


@dataclass(frozen=True)
class PhantomImage:
    """A phantom image with its truth.

    Attributes:
        pixels: image as float32 [1, height, width] in [0, 1], in steps of 1/255.
        lungs: bool [height, width], True in the lung fields.
        finding: bool [height, width], True in the finding; nowhere if there is none or its strength is 0.
        marker: bool [height, width], True in the planted marker.
        text: bool [height, width], True in all other letters.
        facts: facts of the image, as in a row of a table.
    """

    pixels: np.ndarray
    lungs: np.ndarray
    finding: np.ndarray
    marker: np.ndarray
    text: np.ndarray
    facts: Facts


def render(patient_seed: int, image_seed: int, options: PhantomOptions | None = None) -> PhantomImage:
    """Renders an image. The same arguments always give the same bytes.

    Args:
        patient_seed: number of the patient; build, findings and site are the same in all of a patient's images.
        image_seed: number of the image; pose, breath, exposure and noise differ between images.
        options: options of the phantom; the defaults of `PhantomOptions` without it.

    >>> image = render(3, 1, PhantomOptions(size=64))
    >>> image.pixels.dtype, max(image.pixels.shape), bool(image.lungs.any())
    (dtype('float32'), 64, True)
    """
    options = options or PhantomOptions()
    patient_key, image_key = (options.seed, patient_seed), (options.seed, patient_seed, image_seed)
    facts = draw_facts(patient_seed, image_seed, options)
    site, body = SITES[facts.site], draw_body(stream("body", *patient_key), facts.sex, facts.age)
    bed = {"PA": 0.0, "AP": 1.0, "AP Supine": 1.5}[facts.view]

    rng = stream("pose", *image_key)
    grid = make_grid(_shape(options.size, site), _pose(rng, bed, site))
    breath = float(np.clip(rng.normal(0.3 + 1.0 * bed, 0.7), -0.6, 3.5))
    chest = make_chest(grid, body, breath, 1.0 + 0.05 * bed)
    bones = skeleton(grid, body, breath, min(1.0, bed * float(rng.uniform(0.5, 1.0)) + 0.15 * float(rng.random())))
    blood = vessels(grid, body, chest.dome) * np.minimum(chest.lung / 4.0, 1.0)

    soft, fine = stream("tissue", *image_key), np.minimum(chest.lung / 8.0, 1.0)
    tissue = chest.tissue * (1 + 0.012 * cloud(soft, grid.shape, first=7, octaves=5, roughness=0.7))
    mesh = cloud(soft, grid.shape, first=40, octaves=3, roughness=0.8) * fine
    healthy = TISSUE * (tissue + 0.24 * mesh) + LUNG * chest.lung + BONE * 1.4 * (1 - np.exp(-bones / 1.4))
    metal = devices(grid, body, facts.view, stream("devices", *image_key))
    if metal is not None:
        healthy = healthy + metal

    extent = stream("course", *patient_key).beta(2.2, 2.0) + stream("course", *image_key).normal(0, 0.08)
    extent = float(np.clip(extent, 0.05, 1))
    finding = make_finding(facts.finding, grid, chest, extent, stream("finding", *patient_key))
    vascular, mask = TISSUE * 2.0 * blood, np.zeros(grid.shape, bool)
    if finding is not None and options.strength > 0:
        veiled = np.minimum(finding.veiled * options.strength, 1)
        ill = healthy + vascular * (1 - 0.75 * veiled) + (TISSUE - LUNG) * options.strength * finding.tissue
        mask = finding.mask
    else:
        ill = healthy + vascular
    grey = develop(
        healthy + vascular,
        ill,
        grid.scale,
        site,
        draw_exposure(stream("exposure", *image_key), facts.view),
        stream("noise", *image_key),
    )

    open_field = _collimate(grey, site, stream("collimator", *image_key))
    pixels = np.round(np.clip(grey, 0, 1) * 255)
    return _lettered(pixels, open_field & chest.fields, open_field & mask, facts, image_key)


def _lettered(
    levels: np.ndarray, lungs: np.ndarray, mask: np.ndarray, facts: Facts, image_key: tuple[int, int, int]
) -> PhantomImage:
    """Prints letters and markers, and builds the result."""
    grey = (levels / 255).astype(np.float32)
    text = letter(grey, facts, image_key[1], stream("letters", *image_key))
    marker = plant(grey, stream("planted", *image_key)) if facts.planted else np.zeros(grey.shape, bool)
    pixels = (np.round(np.clip(grey, 0, 1) * 255) / 255).astype(np.float32)
    return PhantomImage(pixels[None], lungs, mask, marker, text & ~marker, facts)


def _shape(size: int, site: Site) -> tuple[int, int]:
    return (size, round(size / site.aspect)) if site.aspect >= 1 else (round(size * site.aspect), size)


def _pose(rng: np.random.Generator, bed: float, site: Site) -> Pose:
    loose = 1.0 + 0.6 * bed
    return Pose(
        zoom=float(np.clip(rng.normal(1.09 - 0.05 * bed, 0.05), 0.88, 1.25)),
        shift=(float(rng.normal(0, 0.5 * loose)), float(rng.normal(0.0, 0.8 * loose))),
        roll=float(rng.normal(0, 0.014 * loose)),
        turn=float(rng.normal(0, 0.030 * loose)),
        tilt=float(rng.normal(-0.02 - 0.05 * bed, 0.035)),
    )


def _collimate(grey: np.ndarray, site: Site, rng: np.random.Generator) -> np.ndarray:
    """Darkens the pixels under the collimator, in place; returns bool [height, width], True for open pixels."""
    height, width = grey.shape
    v, u = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    lean, sides = rng.normal(0, 0.012, 4), 1.0 - rng.uniform(0.01, 0.09, 4)
    use = (rng.random(4) < 0.6) & (rng.random() < site.border)
    shade = np.ones_like(grey)
    for on, (across, along, edge, slant) in zip(
        use, zip((u, -u, v, -v), (v, v, u, u), sides, lean, strict=True), strict=True
    ):
        if on:
            shade *= np.clip((edge - across - slant * along) * width / 4 + 0.5, 0, 1)
    grey *= np.maximum(shade, rng.uniform(0, 0.06)).astype(np.float32)
    return shade > 0.5

"""The image plane in centimetres: how a patient lies on the detector, and where the pixels are.

Axes: x to the image's right (the patient's left), y down from the lung apex, z towards the chest's front.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

DESIGN_WIDTH = 34.5  # cm across the detector at zoom 1


@dataclass(frozen=True)
class Pose:
    """How the patient stands before the detector, in one image.

    Attributes:
        zoom: above 1 shows less of the body.
        shift: cm, of the body on the detector (x, y).
        roll: radians, in the image plane.
        turn: cm of x for each cm of depth: the patient turned about the spine.
        tilt: cm of y for each cm of depth: the beam angled to the head or the feet.
    """

    zoom: float
    shift: tuple[float, float]
    roll: float
    turn: float
    tilt: float


@dataclass(frozen=True)
class Grid:
    """The pixels of one image in body coordinates.

    Attributes:
        x: float32 [height, width], cm.
        y: float32 [height, width], cm.
        scale: pixels a cm.
        pose: the pose it was made for.
    """

    x: np.ndarray
    y: np.ndarray
    scale: float
    pose: Pose

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        height, width = self.x.shape
        return height, width

    def pixels_of(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Projects body points [..., 3] (cm) to pixel columns and rows (floats)."""
        pose, (height, width) = self.pose, self.shape
        x = points[..., 0] + pose.turn * points[..., 2] + pose.shift[0]
        y = points[..., 1] + pose.tilt * points[..., 2] + pose.shift[1] - CENTRE_Y
        cos, sin = np.cos(pose.roll), np.sin(pose.roll)
        return (cos * x - sin * y) * self.scale + width / 2, (sin * x + cos * y) * self.scale + height / 2


CENTRE_Y = 12.5  # cm below the apex: what a radiographer centres on


def make_grid(shape: tuple[int, int], pose: Pose) -> Grid:
    """The body coordinates, at depth 0, of every pixel of an image of `shape` (height, width)."""
    height, width = shape
    scale = width / DESIGN_WIDTH * pose.zoom
    rows, columns = np.meshgrid(np.arange(height) + 0.5, np.arange(width) + 0.5, indexing="ij")
    u, v = (columns - width / 2) / scale, (rows - height / 2) / scale
    cos, sin = np.cos(pose.roll), np.sin(pose.roll)
    x, y = cos * u + sin * v - pose.shift[0], -sin * u + cos * v - pose.shift[1] + CENTRE_Y
    return Grid(x.astype(np.float32), y.astype(np.float32), scale, pose)

"""The paper's six augmentations, after Keras' `ImageDataGenerator`. Parameters are sampled first, then applied.

The order is that of Keras: an affine transform (rotation, shift and zoom together, filled with the nearest pixel),
channel shift, flip, brightness. Three things differ: an image has one zoom factor, not one for each axis, and a factor
of 1.2 shows it 1.2 times as large (in Keras, 1/1.2 times); `width_shift` is always a fraction of the width; the affine
transform rotates about the true centre of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, field_validator
from scipy import ndimage

from cxrlens.config import Config
from cxrlens.errors import UserError, near_miss

Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Range = tuple[Positive, Positive]


@dataclass(frozen=True)
class Parameters:
    """The augmentation of a single image; the defaults leave it unchanged.

    Attributes:
        flip: whether left and right are exchanged.
        shift: shift to the right, as a fraction of the width.
        zoom: zoom factor about the centre; above 1 shows the image larger.
        brightness: factor applied after the image is stretched to its own minimum and maximum. None leaves the image
            unchanged, while 1.0 still stretches it and quantises it to 8 bits, as Keras does.
        channel_shift: value added to all pixels, which are then clipped to the image's own minimum and maximum.
        rotation: rotation about the centre in degrees, anticlockwise as seen.
    """

    flip: bool = False
    shift: float = 0.0
    zoom: float = 1.0
    brightness: float | None = None
    channel_shift: float = 0.0
    rotation: float = 0.0


class Augmentation(Config):
    """Options of a study's `[augment]` for training images; without any option images stay unchanged.

    Attributes:
        horizontal_flip: whether half of the images are flipped.
        width_shift: largest shift to either side, as a fraction of the width, below 1; drawn uniformly.
        zoom: range of the zoom factor, above 0; a factor above 1 shows the image larger.
        brightness: range of the brightness factor, above 0. [1, 1] differs from no brightness: it still stretches each
            image to its own minimum and maximum (see `Parameters.brightness`).
        channel_shift: largest shift of the pixel values up or down, in units of the full range; drawn uniformly.
        rotation: largest rotation in either direction in degrees, up to 180; drawn uniformly.
    """

    horizontal_flip: bool = False
    width_shift: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    zoom: Range | None = None
    brightness: Range | None = None
    channel_shift: Fraction = 0.0
    rotation: float = Field(default=0.0, ge=0, le=180, allow_inf_nan=False)

    @field_validator("width_shift")
    @classmethod
    def _fraction(cls, value: float) -> float:
        if value >= 1:
            raise ValueError(
                "needs a fraction of the width below 1, such as 0.1 "
                "(Keras' integer width_shift_range=1 shifts nothing: write 0)"
            )
        return value

    @field_validator("zoom", "brightness")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and value[0] > value[1]:
            raise ValueError("needs [lowest, highest]")
        return value

    @property
    def is_identity(self) -> bool:
        """Whether all images stay unchanged."""
        return self.variants == (Parameters(),)

    @property
    def variants(self) -> tuple[Parameters, ...] | None:
        """All parameters that can be sampled where they are few (nothing, a flip, a fixed factor), else None.

        >>> [parameters.flip for parameters in Augmentation(horizontal_flip=True).variants or ()]
        [False, True]
        """
        ranges = [limits for limits in (self.zoom, self.brightness) if limits is not None]
        if self.width_shift or self.channel_shift or self.rotation or any(low < high for low, high in ranges):
            return None
        flips = (False, True) if self.horizontal_flip else (False,)
        zoom = self.zoom[0] if self.zoom else 1.0
        brightness = self.brightness[0] if self.brightness else None
        return tuple(Parameters(flip=flip, zoom=zoom, brightness=brightness) for flip in flips)

    def sample(self, rng: np.random.Generator) -> Parameters:
        """Draws the parameters of an image.

        Six random numbers are always drawn, so an option does not change the draws of the others.

        Args:
            rng: random generator of the draw.
        """
        return self.at(rng.random(6).tolist())

    def at(self, uniforms: Sequence[float]) -> Parameters:
        """The parameters at given positions within their ranges.

        Args:
            uniforms: six numbers in [0, 1], the positions within the ranges, in the order of `Parameters`.

        >>> Augmentation(horizontal_flip=True, rotation=10).at([0.2, 0.5, 0.5, 0.5, 0.5, 1.0])
        Parameters(flip=True, shift=0.0, zoom=1.0, brightness=None, channel_shift=0.0, rotation=10.0)
        """
        flip, shift, zoom, brightness, channel_shift, rotation = uniforms
        return Parameters(
            flip=self.horizontal_flip and flip < 0.5,
            shift=_between(-self.width_shift, self.width_shift, shift),
            zoom=_between(*self.zoom, zoom) if self.zoom else 1.0,
            brightness=_between(*self.brightness, brightness) if self.brightness else None,
            channel_shift=_between(-self.channel_shift, self.channel_shift, channel_shift),
            rotation=_between(-self.rotation, self.rotation, rotation),
        )


def apply(image: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Applies an augmentation to an image.

    Args:
        image: image as float32 [height, width] in [0, 1].
        parameters: parameters of the augmentation, such as those of `Augmentation.sample`.

    Returns:
        A new array, float32 [height, width] in [0, 1].
    """
    assert image.ndim == 2 and image.dtype == np.float32, f"needs float32 [H, W]; got {image.dtype} {image.shape}"
    result = _affine(image, parameters)
    if parameters.channel_shift:
        result = np.clip(result + np.float32(parameters.channel_shift), result.min(), result.max())
    if parameters.flip:
        result = result[:, ::-1]
    if parameters.brightness is not None:
        result = _brightness(result, parameters.brightness)
    return np.array(result, dtype=np.float32, order="C")


def _between(low: float, high: float, uniform: float) -> float:
    return min(high, low + (high - low) * uniform)  # min: the sum may round up beyond the range


def _affine(image: np.ndarray, parameters: Parameters) -> np.ndarray:
    """Zooms and rotates about the centre, then shifts; bilinear, filled with the nearest pixel."""
    height, width = image.shape
    shift = round(parameters.shift * width, 6)  # 1 / 49 * 49 is 1 pixel, not 0.9999999999999999
    if parameters.rotation == 0 and parameters.zoom == 1:
        return _shift(image, shift) if shift else image
    angle = math.radians(parameters.rotation)
    cosine, sine = math.cos(angle), math.sin(angle)
    # Output to input, in (row, column) with rows downwards: anticlockwise to the eye.
    inverse = np.array([[cosine, sine], [-sine, cosine]]) / parameters.zoom
    centre = np.array([(height - 1) / 2, (width - 1) / 2])
    offset = centre - inverse @ (centre + np.array([0.0, shift]))
    return ndimage.affine_transform(image, inverse, offset=offset, order=1, mode="nearest")


def _shift(image: np.ndarray, pixels: float) -> np.ndarray:
    """The affine transform for a shift only: the same result, several times as fast."""
    whole = math.floor(pixels)
    part = np.float32(pixels - whole)
    width = image.shape[1]
    right = image[:, np.clip(np.arange(width) - whole, 0, width - 1)]
    if part == 0:
        return right
    left = image[:, np.clip(np.arange(width) - whole - 1, 0, width - 1)]
    return right + part * (left - right)


def _brightness(image: np.ndarray, factor: float) -> np.ndarray:
    """Keras' brightness shift: stretches to the own range, truncates to 8 bits, scales, and truncates again."""
    bytes_ = image * np.float32(255)
    bytes_ = bytes_ - bytes_.min()
    peak = bytes_.max()
    if peak > 0:  # a constant image becomes black, as in Keras
        bytes_ = np.floor(bytes_ / peak * np.float32(255))
    return np.floor(np.minimum(bytes_ * np.float32(factor), np.float32(255))) / np.float32(255)


# Named augmentations: each of the six at a moderate strength, the paper's choice, and all six together.

SIX: dict[str, Augmentation] = {
    "horizontal_flip": Augmentation(horizontal_flip=True),
    "width_shift": Augmentation(width_shift=0.1),
    "zoom": Augmentation(zoom=(0.9, 1.1)),
    "brightness": Augmentation(brightness=(0.5, 1.2)),  # the paper's range
    "channel_shift": Augmentation(channel_shift=0.1),
    "rotation": Augmentation(rotation=10.0),
}


def together(*parts: Augmentation) -> Augmentation:
    """Combines augmentations; where two set the same option, the later one's value is used."""
    return Augmentation.model_validate({name: value for part in parts for name, value in _values(part).items()})


def combinations(study: Augmentation | None = None) -> dict[str, Augmentation]:
    """The named augmentations: none, each of the six, the paper's choice and all six.

    Args:
        study: augmentation of a study; it is added as "study" if it is none of the others.

    >>> list(combinations())[-2:]
    ['paper', 'all_six']
    """
    augmentations = {
        "none": Augmentation(),
        **SIX,
        "paper": together(SIX["horizontal_flip"], SIX["brightness"]),
        "all_six": together(*SIX.values()),
    }
    return augmentations if study is None or study in augmentations.values() else {**augmentations, "study": study}


def named_combination(name: str, known: dict[str, Augmentation]) -> Augmentation:
    """The augmentation of a name, or of several names joined by "+".

    Args:
        name: name or names, such as "rotation" or "rotation+brightness".
        known: name → augmentation, from `combinations`.

    Raises:
        UserError: a name is not in `known`.
    """
    parts = [part.strip() for part in name.split("+")]
    unknown = [part for part in parts if part not in known]
    if unknown:
        raise UserError(near_miss("augmentation", unknown[0], known) + " (join several with +, as in rotation+zoom)")
    return together(*(known[part] for part in parts))


def turned_on(augmentation: Augmentation) -> dict[str, str]:
    """The options that an augmentation sets: name → value as in a study file; empty where it sets none.

    >>> turned_on(SIX["brightness"])
    {'brightness': '[0.5, 1.2]'}
    """
    return {name: _toml(value) for name, value in _values(augmentation).items()}


def in_words(augmentation: Augmentation) -> str:
    """The options that an augmentation sets, in one line.

    >>> in_words(together(SIX["rotation"], SIX["horizontal_flip"]))
    'horizontal_flip = true, rotation = 10'
    """
    return ", ".join(f"{name} = {value}" for name, value in turned_on(augmentation).items()) or "nothing"


def _values(augmentation: Augmentation) -> dict[str, object]:
    return {name: value for name, value in augmentation if value != Augmentation.model_fields[name].default}


def _toml(value: object) -> str:
    if isinstance(value, tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"

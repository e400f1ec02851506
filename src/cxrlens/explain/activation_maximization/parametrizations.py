"""How a picture is written down while it is optimised: pixels (keras-vis) or a spectrum (Olah 2017, lucid)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cxrlens.config import Config

# Colours: the directions in which those of photographs vary (lucid), and keras-vis' way to show any range.

# lucid's square root of the colour covariance of ImageNet's photographs: rows are red, green, blue; columns are
# brightness, blue-to-red and green-to-magenta.
ROOT = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
CORRELATION = ROOT / ROOT.norm(dim=0).max()


def correlated(picture: Tensor) -> Tensor:
    """Decorrelated channels [b, 3, h, w] as red, green and blue: a step in brightness is the longest."""
    return torch.einsum("ij,bjhw->bihw", CORRELATION.to(picture), picture)


def standardised(image: Tensor, deviation: float = 0.1, epsilon: float = 1e-7) -> Tensor:
    """Each picture [3, h, w] less its mean, by its standard deviation, × `deviation`, + 0.5, clipped to [0, 1]."""
    mean = image.mean((1, 2, 3), keepdim=True)
    spread = image.std((1, 2, 3), keepdim=True, correction=0)
    return ((image - mean) / (spread + epsilon) * deviation + 0.5).clamp(0, 1)


class Pixels(Config):
    """The pixels themselves, as keras-vis has them: about 0 to 255, never clipped.

    Attributes:
        mean: of the noise at the start (half of 255).
        deviation: its standard deviation (a twentieth of 255).
        divided_by: what the network gets is the picture divided by this.
        colour: three channels, or one for all three.
    """

    kind: Literal["pixels"] = "pixels"
    mean: float = 127.5
    deviation: float = Field(default=12.75, gt=0)
    divided_by: float = Field(default=1.0, gt=0)
    colour: Literal["rgb", "grey"] = "rgb"

    def start(self, size: int, rng: np.random.Generator) -> Tensor:
        """[c, size, size]: uniform noise with exactly this mean and deviation."""
        noise = rng.random((1 if self.colour == "grey" else 3, size, size))
        noise = (noise - noise.mean()) / (noise.std() + 1e-7)
        return torch.from_numpy((noise * self.deviation + self.mean).astype(np.float32))

    def image(self, x: Tensor) -> Tensor:
        """What the regularizers see [b, 3, h, w]: the pixels."""
        return x.expand(-1, 3, -1, -1)

    def given(self, image: Tensor) -> Tensor:
        """What the model's `(x - mean) / std` gets [b, 3, h, w]."""
        return image / self.divided_by if self.divided_by != 1 else image

    def shown(self, image: Tensor) -> Tensor:
        """The picture for the eye [b, 3, h, w] in [0, 1]: each one's mean at 0.5, deviation 0.1, clipped."""
        return standardised(image)


class Fourier(Config):
    """A spectrum whose frequencies all have the same reach: what is scaled by 1 / frequency is easy to move.

    Gradient ascent on pixels makes high frequencies, because a network lets them through and nothing stops them. Here a
    step of the same length moves a frequency f in proportion to 1 / f. Constants are lucid's:
    the lowest frequency, the division by 4, the sigmoid. Not so the start: lucid's deviation of 0.01 is an all but even
    grey, where a network trained on X-rays alone may be flat to the last bit (DenseNet121: no picture ever moved).

    Attributes:
        deviation: of the spectrum at the start.
        decay: the power of 1 / frequency.
        colour: "decorrelated" (see `colour`), "rgb", or "grey": one channel for all three.
    """

    kind: Literal["fourier"] = "fourier"
    deviation: float = Field(default=0.1, gt=0)
    decay: float = Field(default=1.0, ge=0)
    colour: Literal["decorrelated", "rgb", "grey"] = "decorrelated"

    def start(self, size: int, rng: np.random.Generator) -> Tensor:
        """[c, size, size // 2 + 1, 2]: real and imaginary parts of half a spectrum, normal noise."""
        shape = (1 if self.colour == "grey" else 3, size, size // 2 + 1, 2)
        return torch.from_numpy((rng.standard_normal(shape) * self.deviation).astype(np.float32))

    def image(self, x: Tensor) -> Tensor:
        """The picture [b, 3, size, size] in (0, 1)."""
        size = x.shape[2]
        spectrum = torch.view_as_complex(x.contiguous()) * frequency_scale(size, self.decay).to(x)
        picture = torch.fft.irfft2(spectrum, s=(size, size), norm="ortho") / 4
        if self.colour == "decorrelated":
            picture = correlated(picture)
        return torch.sigmoid(picture).expand(-1, 3, -1, -1)

    def given(self, image: Tensor) -> Tensor:
        """The picture."""
        return image

    def shown(self, image: Tensor) -> Tensor:
        """The picture."""
        return image


Parametrization = Pixels | Fourier


def frequency_scale(size: int, decay: float) -> Tensor:
    """[size, size // 2 + 1]: 1 / frequency ** decay, in cycles a pixel; the mean counts as the lowest frequency."""
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None, :])
    return frequency.clamp(min=1 / size) ** -decay

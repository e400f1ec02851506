"""What is optimised: the pixels of a picture (keras-vis) or its spectrum (Olah et al. 2017, lucid)."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from cxrlens.config import Config

# lucid's square root of the colour covariance of ImageNet's photographs: rows are red, green, blue; columns are
# brightness, blue-to-red and green-to-magenta.
ROOT = torch.tensor([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
CORRELATION = ROOT / ROOT.norm(dim=0).max()


def correlated(picture: Tensor) -> Tensor:
    """Decorrelated channels [b, 3, h, w] as red, green and blue; a step along brightness is the longest."""
    return torch.einsum("ij,bjhw->bihw", CORRELATION.to(picture), picture)


def standardised(image: Tensor, deviation: float = 0.1, epsilon: float = 1e-7) -> Tensor:
    """Pictures [b, 3, h, w], each rescaled to mean 0.5 and standard deviation `deviation` and clipped to [0, 1]."""
    mean = image.mean((1, 2, 3), keepdim=True)
    spread = image.std((1, 2, 3), keepdim=True, correction=0)
    return ((image - mean) / (spread + epsilon) * deviation + 0.5).clamp(0, 1)


class Pixels(Config):
    """The pixels themselves, as in keras-vis: about 0 to 255, never clipped.

    Attributes:
        mean: mean of the noise at the start (half of 255).
        deviation: standard deviation of the noise at the start (a twentieth of 255).
        divided_by: divisor of the picture before it enters the network.
        colour: "rgb": three channels; "grey": one channel for all three.
    """

    kind: Literal["pixels"] = "pixels"
    mean: float = 127.5
    deviation: float = Field(default=12.75, gt=0)
    divided_by: float = Field(default=1.0, gt=0)
    colour: Literal["rgb", "grey"] = "rgb"

    def start(self, size: int, rng: np.random.Generator) -> Tensor:
        """The start: uniform noise [c, size, size] with exactly this mean and deviation."""
        noise = rng.random((1 if self.colour == "grey" else 3, size, size))
        noise = (noise - noise.mean()) / (noise.std() + 1e-7)
        return torch.from_numpy((noise * self.deviation + self.mean).astype(np.float32))

    def image(self, x: Tensor) -> Tensor:
        """The picture that the regularizers see: the pixels, [b, 3, h, w]."""
        return x.expand(-1, 3, -1, -1)

    def network_input(self, image: Tensor) -> Tensor:
        """The input of the model's `(x - mean) / std`, [b, 3, h, w]."""
        return image / self.divided_by if self.divided_by != 1 else image

    def display(self, image: Tensor) -> Tensor:
        """The pictures as displayed, [b, 3, h, w] in [0, 1]: each with mean 0.5 and deviation 0.1, clipped."""
        return standardised(image)


class Fourier(Config):
    """The spectrum of the picture, scaled by 1 / frequency, so that low frequencies change as easily as high ones.

    Gradient ascent on pixels produces high frequencies, because the network passes them and nothing suppresses them.
    Here a step of a given length changes a frequency f in proportion to 1 / f. The lowest frequency, the division by 4
    and the sigmoid are lucid's. The start is not: lucid's deviation of 0.01 gives an almost even grey, where the
    gradient of a network trained on X-rays alone may be exactly 0 (with DenseNet121 no picture ever changed).

    Attributes:
        deviation: standard deviation of the spectrum at the start.
        decay: exponent of 1 / frequency.
        colour: "decorrelated": lucid's decorrelated colours; "rgb"; or "grey": one channel for all three.
    """

    kind: Literal["fourier"] = "fourier"
    deviation: float = Field(default=0.1, gt=0)
    decay: float = Field(default=1.0, ge=0)
    colour: Literal["decorrelated", "rgb", "grey"] = "decorrelated"

    def start(self, size: int, rng: np.random.Generator) -> Tensor:
        """The start: normal noise, the real and imaginary parts of half a spectrum, [c, size, size // 2 + 1, 2]."""
        shape = (1 if self.colour == "grey" else 3, size, size // 2 + 1, 2)
        return torch.from_numpy((rng.standard_normal(shape) * self.deviation).astype(np.float32))

    def image(self, x: Tensor) -> Tensor:
        """The picture of a spectrum, [b, 3, size, size] in (0, 1)."""
        size = x.shape[2]
        spectrum = torch.view_as_complex(x.contiguous()) * frequency_scale(size, self.decay).to(x)
        picture = torch.fft.irfft2(spectrum, s=(size, size), norm="ortho") / 4
        if self.colour == "decorrelated":
            picture = correlated(picture)
        return torch.sigmoid(picture).expand(-1, 3, -1, -1)

    def network_input(self, image: Tensor) -> Tensor:
        """The input of the model's `(x - mean) / std`: the picture itself."""
        return image

    def display(self, image: Tensor) -> Tensor:
        """The pictures as displayed: unchanged."""
        return image


Parametrization = Pixels | Fourier


def frequency_scale(size: int, decay: float) -> Tensor:
    """The factors 1 / frequency ** decay, [size, size // 2 + 1]; frequency in cycles a pixel, at least 1 / size."""
    frequency = torch.hypot(torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None, :])
    return frequency.clamp(min=1 / size) ** -decay

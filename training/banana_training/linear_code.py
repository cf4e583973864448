"""The linear code that latents are: principal components of folded patches.

It works at half the native size, where a patch is 32×32: 256-px pictures in, latents out, and
back. The encoder of the package is the same code at 512 px.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from .folding import fold, unfold

PATCH = 32
FOLD = 16


def patches_of(pixels, side):
    """[..., tokens, side·side·4] patches of pictures [..., 4, h, w], row by row (y, x, channel)."""
    *batch, c, h, w = pixels.shape
    n = len(batch)
    x = pixels.reshape(*batch, c, h // side, side, w // side, side)
    x = x.permute(*range(n), n + 1, n + 3, n + 2, n + 4, n)
    return x.reshape(*batch, -1, side * side * c)


def picture_of(patches, side):
    """The inverse of `patches_of` for square pictures [..., 4, h, h]."""
    *batch, tokens, _ = patches.shape
    n, across = len(batch), round(tokens ** 0.5)
    x = patches.reshape(*batch, across, across, side, side, 4)
    x = x.permute(*range(n), n + 4, n, n + 2, n + 1, n + 3)
    return x.reshape(*batch, 4, across * side, across * side)


@dataclass
class LinearCode:
    """Mean [patch·patch·4] and orthonormal basis [components, patch·patch·4] of folded patches.

    latent_mean and latent_divisor [components] scale coordinates to what the denoiser sees.
    """

    mean: torch.Tensor
    basis: torch.Tensor
    fold: int = FOLD
    patch: int = PATCH
    latent_mean: torch.Tensor = None
    latent_divisor: torch.Tensor = None

    def coordinates(self, pixels):
        """[b, tokens, components] of premultiplied [b, 4, h, w] at half the native size."""
        return (patches_of(fold(pixels, self.patch, self.fold), self.patch) - self.mean) \
            @ self.basis.t()

    def pictures(self, coordinates):
        """[b, 4, h, w] of coordinates [b, tokens, components]."""
        patches = coordinates @ self.basis + self.mean
        return unfold(picture_of(patches, self.patch), self.patch, self.fold)

    def latents(self, pixels):
        """Coordinates as the denoiser sees them."""
        return (self.coordinates(pixels) - self.latent_mean) / self.latent_divisor

    def drawn(self, latents):
        """Pictures of what a denoiser gives, by the linear code alone."""
        return self.pictures(latents * self.latent_divisor + self.latent_mean)

    def save(self, path):
        torch.save(vars(self), path)


def loaded_code(state):
    """The code of STATE/linear-code.pt."""
    return LinearCode(**torch.load(Path(state) / "linear-code.pt", weights_only=True))


def imported_code(path, overlap=FOLD):
    """A code with its scaling from an .npz: mean, basis, latent_mean, latent_divisor."""
    stored = {name: torch.from_numpy(array) for name, array in np.load(path).items()}
    return LinearCode(fold=overlap, **stored)

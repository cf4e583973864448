"""Lapped latents: a picture is folded across the borders of its patches before it is coded.

Across every border b the pixels l = x[b-1-i] and r = x[b+i] of the nearest i = 0 … o-1 are turned
by t = pi/4 · (1 - (2i+1)/(2o)), first along rows, then along columns; unfolding turns back. It is
the folding of the modulated lapped transform (Princen & Bradley 1986, "Analysis/synthesis filter
bank design based on time domain aliasing cancellation"; Malvar 1992, "Signal Processing with
Lapped Transforms"). The map is orthogonal: errors of coordinates stay errors of pixels, but those
of one patch fade out over its neighbours instead of ending at a seam.
"""

import math

import torch


def turned(x, patch, overlap, sign):
    """x [..., patches · patch] with `overlap` pixels on each side of every border turned."""
    i = torch.arange(overlap, dtype=torch.float64)
    angle = sign * math.pi / 4 * (1 - (2 * i + 1) / (2 * overlap))
    cos, sin = angle.cos().to(x), angle.sin().to(x)
    y = x.reshape(*x.shape[:-1], -1, patch).clone()  # [..., patches, patch]
    left = y[..., :-1, patch - overlap:].flip(-1)
    right = y[..., 1:, :overlap].clone()
    y[..., 1:, :overlap] = cos * right - sin * left
    y[..., :-1, patch - overlap:] = (cos * left + sin * right).flip(-1)
    return y.reshape(x.shape)


def _both_axes(pixels, patch, overlap, sign):
    if overlap == 0:
        return pixels
    if not 0 < overlap <= patch // 2:
        raise ValueError(f"a fold of {overlap} pixels does not fit patches of {patch}")
    pixels = turned(pixels, patch, overlap, sign)
    return turned(pixels.transpose(-1, -2), patch, overlap, sign).transpose(-1, -2)


def fold(pixels, patch, overlap):
    """[..., h, w] pixels, folded across the borders of patches; `overlap` 0 changes nothing."""
    return _both_axes(pixels, patch, overlap, 1)


def unfold(pixels, patch, overlap):
    """The inverse of `fold`."""
    return _both_axes(pixels, patch, overlap, -1)

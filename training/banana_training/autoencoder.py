"""The encoder of a deep-compression autoencoder over premultiplied RGBA: 64 times down.

A linear code of patches (principal components) beside convolutional stages that add what it
cannot say, as in the residual shortcuts of Chen et al. 2024, "Deep Compression Autoencoder".
The stages start at zero; the decoder is in `decoder.py`. With `fold` the picture is folded across
patch borders first (`folding.py`), and all of this works on the folded one.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .folding import fold


@dataclass(frozen=True)
class EncoderConfiguration:
    """Widths and residual blocks from the finest stage to the coarsest; fold in pixels a side."""

    latent_channels: int = 128
    picture_channels: int = 4
    head_factor: int = 8
    widths: tuple = (16, 16, 16, 16)
    blocks: tuple = (1, 1, 1, 1)
    norm_epsilon: float = 1e-6
    fold: int = 0

    @property
    def linear_factor(self):
        """Pixels on a side that one latent covers."""
        return self.head_factor << (len(self.widths) - 1)

    def dictionary(self):
        return asdict(self)


def space_to_depth(x, factor):
    """[batch, c, h, w] to [batch, f·f·c, h/f, w/f]; channel index (dy·f + dx)·c + channel."""
    b, c, h, w = x.shape
    x = x.reshape(b, c, h // factor, factor, w // factor, factor)
    return x.permute(0, 3, 5, 1, 2, 4).reshape(b, factor * factor * c, h // factor, w // factor)


def depth_to_space(x, factor):
    """The inverse of `space_to_depth`: [batch, f·f·c, h, w] to [batch, c, h·f, w·f]."""
    b, fc, h, w = x.shape
    c = fc // (factor * factor)
    x = x.reshape(b, factor, factor, c, h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(b, c, h * factor, w * factor)


class PixelNorm(nn.Module):
    """RMSNorm over the channels of every pixel, with a learned weight."""

    def __init__(self, channels, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.epsilon = epsilon

    def forward(self, x):
        y = x.permute(0, 2, 3, 1)
        scale = torch.rsqrt(y.float().square().mean(-1, keepdim=True) + self.epsilon)
        return (y * scale.to(y.dtype) * self.weight.to(y.dtype)).permute(0, 3, 1, 2)


class ResBlock(nn.Module):
    """x + conv2(silu(norm2(conv1(silu(norm1(x))))))."""

    def __init__(self, channels, epsilon):
        super().__init__()
        self.norm1 = PixelNorm(channels, epsilon)
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm2 = PixelNorm(channels, epsilon)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x):
        h = self.conv1(F.silu(self.norm1(x)))
        return x + self.conv2(F.silu(self.norm2(h)))


class Encoder(nn.Module):
    """Premultiplied RGBA [batch, 4, 64·h, 64·w] to [batch, latent channels, h, w]."""

    def __init__(self, configuration):
        super().__init__()
        k, widths = configuration, configuration.widths
        self.configuration = k
        c = k.picture_channels
        self.linear_in = nn.Conv2d(k.linear_factor ** 2 * c, k.latent_channels, 1)
        self.stem = nn.Conv2d(k.head_factor ** 2 * c, widths[0], 1)
        self.stages = nn.ModuleList()
        for i, (width, count) in enumerate(zip(widths, k.blocks)):
            stage = nn.Module()
            if i > 0:
                stage.down = nn.Conv2d(4 * widths[i - 1], width, 1)
            stage.blocks = nn.ModuleList(ResBlock(width, k.norm_epsilon) for _ in range(count))
            self.stages.append(stage)
        self.norm = PixelNorm(widths[-1], k.norm_epsilon)
        self.head = nn.Conv2d(widths[-1], k.latent_channels, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, pixels, taps=None):
        k = self.configuration
        pixels = fold(pixels, k.linear_factor, k.fold)
        linear = self.linear_in(space_to_depth(pixels, k.linear_factor))
        if taps is None and not self.head.weight.any() and not self.head.bias.any():
            return linear.float()
        x = space_to_depth(pixels, k.head_factor)
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        for i, stage in enumerate(self.stages):
            if i > 0:
                x = space_to_depth(x, 2).contiguous(memory_format=torch.channels_last)
                x = stage.down(x)
            for block in stage.blocks:
                x = block(x)
            if taps is not None:
                taps[f"encoder.stages.{i}"] = x
        return linear.float() + self.head(F.silu(self.norm(x))).float()

    @torch.no_grad()
    def set_linear_code(self, code):
        """Sets the linear path from a `LinearCode` of patches at half the size.

        A patch at full size is averaged over 2×2 pixels by the weights themselves.
        """
        channels, side = len(code.basis), code.patch
        basis = code.basis.reshape(channels, side, side, 4)
        twice = basis.repeat_interleave(2, 1).repeat_interleave(2, 2) / 4
        self.linear_in.weight.copy_(twice.reshape(channels, -1)[:, :, None, None])
        self.linear_in.bias.copy_(-(code.basis @ code.mean))

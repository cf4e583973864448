"""The refinement stage: convolutions after the decoder that add edges and remove mottling.

A small U of residual blocks over the unfolded picture: a half-size level for edges, a quarter-size
level for what is around them. It gives what has to be added to the picture.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .autoencoder import depth_to_space, space_to_depth


@dataclass(frozen=True)
class RefinerConfiguration:
    """Channels at half and at quarter size, and residual blocks at quarter size."""

    picture_channels: int = 4
    fine_width: int = 24
    coarse_width: int = 56
    blocks: int = 2

    def dictionary(self):
        return asdict(self)

    def operations(self, side):
        """Multiplications and additions for a picture of side × side."""
        fine, coarse, ends = self.fine_width, self.coarse_width, 4 * self.picture_channels
        at_half = 9 * (2 * ends * fine + fine * fine)
        at_quarter = 2 * 4 * fine * coarse + 2 * self.blocks * 9 * coarse * coarse
        return 2 * (at_half * (side // 2) ** 2 + at_quarter * (side // 4) ** 2)


class Block(nn.Module):
    """x + conv2(silu(conv1(silu(x))))."""

    def __init__(self, channels):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)
        nn.init.zeros_(self.conv2.bias)

    def forward(self, x):
        return x + self.conv2(F.silu(self.conv1(F.silu(x))))


class Refiner(nn.Module):
    """Premultiplied RGBA [batch, 4, h, w] to the same, refined; h and w are multiples of 4."""

    def __init__(self, configuration=RefinerConfiguration()):
        super().__init__()
        k = self.configuration = configuration
        ends = 4 * k.picture_channels
        self.input = nn.Conv2d(ends, k.fine_width, 3, padding=1)
        self.down = nn.Conv2d(4 * k.fine_width, k.coarse_width, 1)
        self.blocks = nn.ModuleList(Block(k.coarse_width) for _ in range(k.blocks))
        self.up = nn.Conv2d(k.coarse_width, 4 * k.fine_width, 1)
        self.join = nn.Conv2d(k.fine_width, k.fine_width, 3, padding=1)
        self.output = nn.Conv2d(k.fine_width, ends, 3, padding=1)
        nn.init.zeros_(self.output.weight)
        nn.init.zeros_(self.output.bias)

    def forward(self, pixels):
        x = space_to_depth(pixels, 2).contiguous(memory_format=torch.channels_last)
        fine = F.silu(self.input(x))  # [b, fine, h/2, w/2]
        y = self.down(space_to_depth(fine, 2))  # [b, coarse, h/4, w/4]
        for block in self.blocks:
            y = block(y)
        fine = fine + depth_to_space(self.up(F.silu(y)), 2)  # [b, fine, h/2, w/2]
        return pixels + depth_to_space(self.output(F.silu(self.join(fine))), 2)

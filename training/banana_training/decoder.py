"""The decoder: a linear code of patches, completed by a small transformer over the latents.

What a patch's own latent cannot say, the rest of the picture often does. The transformer reads all
latents and gives the residual of each patch. It is trained in the coordinates of principal
components (`train_decoder.py`), where a picture costs 2.5 GFLOP instead of 36. With `fold` all of
this is the picture folded across patch borders (`folding.py`), which is unfolded at the end.
"""

from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from .autoencoder import depth_to_space
from .denoiser import rms_normalised, rope_angles, rotated
from .folding import unfold


@dataclass(frozen=True)
class DecoderConfiguration:
    latent_channels: int = 128
    patch: int = 64
    latent_height: int = 8
    latent_width: int = 8
    width: int = 384
    layers: int = 4
    heads: int = 6
    key_value_heads: int = 2
    hidden_width: int = 1024
    rope_base: float = 100.0
    norm_epsilon: float = 1e-6
    fold: int = 0

    @property
    def head_width(self):
        return self.width // self.heads

    @property
    def key_value_width(self):
        return self.key_value_heads * self.head_width

    def dictionary(self):
        return asdict(self)


class Norm(nn.Module):
    """RMSNorm over the last axis with a learned weight."""

    def __init__(self, width, epsilon):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x):
        return rms_normalised(x, self.epsilon) * self.weight.to(x.dtype)


class Layer(nn.Module):
    """Grouped-query attention and SwiGLU over [batch, tokens, width]."""

    def __init__(self, k):
        super().__init__()
        self.configuration = k
        self.norm1 = Norm(k.width, k.norm_epsilon)
        self.qkv = nn.Linear(k.width, k.width + 2 * k.key_value_width, bias=False)
        self.q_norm = Norm(k.head_width, k.norm_epsilon)
        self.k_norm = Norm(k.head_width, k.norm_epsilon)
        self.out = nn.Linear(k.width, k.width, bias=False)
        self.norm2 = Norm(k.width, k.norm_epsilon)
        self.gate = nn.Linear(k.width, k.hidden_width, bias=False)
        self.up = nn.Linear(k.width, k.hidden_width, bias=False)
        self.down = nn.Linear(k.hidden_width, k.width, bias=False)

    def forward(self, x, cos, sin):
        k = self.configuration
        b, n, _ = x.shape
        q, key, v = self.qkv(self.norm1(x)).split(
            [k.width, k.key_value_width, k.key_value_width], -1)
        q = rotated(self.q_norm(q.reshape(b, n, k.heads, k.head_width)), cos, sin)
        key = rotated(self.k_norm(key.reshape(b, n, k.key_value_heads, k.head_width)), cos, sin)
        v = v.reshape(b, n, k.key_value_heads, k.head_width)
        group = k.heads // k.key_value_heads
        q = q.reshape(b, n, k.key_value_heads, group, k.head_width).permute(0, 2, 3, 1, 4)
        q = q.reshape(b, k.key_value_heads, group * n, k.head_width)
        y = F.scaled_dot_product_attention(q, key.transpose(1, 2), v.transpose(1, 2))
        y = y.reshape(b, k.heads, n, k.head_width).transpose(1, 2).reshape(b, n, k.width)
        x = x + self.out(y)
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Features(nn.Module):
    """Latents [batch, tokens, latent channels] to normalised features [batch, tokens, width]."""

    def __init__(self, k):
        super().__init__()
        self.configuration = k
        self.input = nn.Linear(k.latent_channels, k.width)
        self.layers = nn.ModuleList(Layer(k) for _ in range(k.layers))
        self.norm = Norm(k.width, k.norm_epsilon)
        cos, sin = rope_angles(k)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for layer in self.layers:
            nn.init.zeros_(layer.out.weight)
            nn.init.zeros_(layer.down.weight)

    def forward(self, z, taps=None):
        x = self.input(z)
        for i, layer in enumerate(self.layers):
            x = layer(x, self.cos, self.sin)
            if taps is not None:
                taps[f"decoder.layers.{i}"] = x
        return self.norm(x)


class Decoder(Features):
    """Latents [batch, tokens, latent channels] to premultiplied RGBA [batch, 4, H, W]."""

    def __init__(self, configuration=DecoderConfiguration()):
        super().__init__(configuration)
        outputs = 4 * configuration.patch ** 2
        self.linear_out = nn.Linear(configuration.latent_channels, outputs)
        self.head = nn.Linear(configuration.width, outputs, bias=False)

    def forward(self, z, taps=None):
        k = self.configuration
        y = self.linear_out(z) + self.head(super().forward(z, taps))
        y = y.transpose(1, 2).reshape(len(z), -1, k.latent_height, k.latent_width)
        return unfold(depth_to_space(y, k.patch), k.patch, k.fold)

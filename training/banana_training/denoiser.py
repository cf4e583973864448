"""The denoiser: a latent diffusion transformer over one token a latent pixel.

Shared modulation with a learned table a layer (Chen et al. 2023, "PixArt-α"), grouped-query
attention whose keys are those of the text followed by those of the picture, axial RoPE
(Su et al. 2021), normalised queries and keys, SwiGLU. It predicts the clean latent
(Li & He 2025, "Back to Basics: Let Denoising Generative Models Denoise").
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class DenoiserConfiguration:
    latent_channels: int = 128
    latent_height: int = 8
    latent_width: int = 8
    width: int = 384
    layers: int = 8
    heads: int = 6
    key_value_heads: int = 2
    hidden_width: int = 1024
    text_width: int = 384
    rope_base: float = 100.0
    sigma_channels: int = 256
    norm_epsilon: float = 1e-6

    @property
    def head_width(self):
        return self.width // self.heads

    @property
    def key_value_width(self):
        return self.key_value_heads * self.head_width

    def dictionary(self):
        return asdict(self)


def rms_normalised(x, epsilon):
    """x / sqrt(mean(x²) + epsilon) over the last axis, in f32."""
    scale = torch.rsqrt(x.float().square().mean(-1, keepdim=True) + epsilon)
    return x * scale.to(x.dtype)


def rope_angles(configuration):
    """cos and sin [tokens, head width / 2]: first half of the pairs turn with y, the rest with x.

    Within the 2·n channels of one axis channel i pairs with i + n, at frequency base^(-i/n).
    """
    k = configuration
    pairs = k.head_width // 4
    frequency = k.rope_base ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    y, x = torch.meshgrid(torch.arange(k.latent_height), torch.arange(k.latent_width),
                          indexing="ij")
    angle = torch.cat([y.reshape(-1, 1) * frequency, x.reshape(-1, 1) * frequency], 1)
    return angle.cos().float(), angle.sin().float()


def rotated(x, cos, sin):
    """RoPE of x [..., tokens, heads, head width]."""
    shape = x.shape
    pairs = shape[-1] // 4
    x = x.reshape(*shape[:-1], 2, 2, pairs)
    first, second = x[..., 0, :], x[..., 1, :]
    cos = cos.reshape(-1, 1, 2, pairs).to(x.dtype)
    sin = sin.reshape(-1, 1, 2, pairs).to(x.dtype)
    return torch.stack([first * cos - second * sin, second * cos + first * sin], -2).reshape(shape)


def sigma_features(sigma, channels):
    """[batch, channels] cosines then sines of 1000·sigma."""
    half = channels // 2
    frequency = torch.exp(-math.log(10000) * torch.arange(
        half, dtype=torch.float32, device=sigma.device) / half)
    angle = 1000 * sigma.float()[:, None] * frequency
    return torch.cat([angle.cos(), angle.sin()], 1)


class Layer(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.configuration = k
        self.qkv = nn.Linear(k.width, k.width + 2 * k.key_value_width, bias=False)
        self.q_norm = nn.Parameter(torch.ones(k.head_width))
        self.k_norm = nn.Parameter(torch.ones(k.head_width))
        self.text_k_norm = nn.Parameter(torch.ones(k.head_width))
        self.out = nn.Linear(k.width, k.width, bias=False)
        self.gate = nn.Linear(k.width, k.hidden_width, bias=False)
        self.up = nn.Linear(k.width, k.hidden_width, bias=False)
        self.down = nn.Linear(k.hidden_width, k.width, bias=False)
        self.modulation = nn.Parameter(torch.zeros(6, k.width))

    def forward(self, x, modulation, text_k, text_v, mask, cos, sin):
        k = self.configuration
        b, n, _ = x.shape
        shift1, scale1, gate1, shift2, scale2, gate2 = (
            modulation + self.modulation.to(modulation.dtype)).unsqueeze(2).unbind(1)
        h = rms_normalised(x, k.norm_epsilon) * (1 + scale1) + shift1
        q, key, v = self.qkv(h).split([k.width, k.key_value_width, k.key_value_width], -1)
        q = q.reshape(b, n, k.heads, k.head_width)
        key = key.reshape(b, n, k.key_value_heads, k.head_width)
        v = v.reshape(b, n, k.key_value_heads, k.head_width)
        q = rotated(rms_normalised(q, k.norm_epsilon) * self.q_norm.to(q.dtype), cos, sin)
        key = rotated(rms_normalised(key, k.norm_epsilon) * self.k_norm.to(q.dtype), cos, sin)
        text_k = rms_normalised(text_k, k.norm_epsilon) * self.text_k_norm.to(q.dtype)
        group = k.heads // k.key_value_heads
        q = q.reshape(b, n, k.key_value_heads, group, k.head_width).permute(0, 2, 3, 1, 4)
        q = q.reshape(b, k.key_value_heads, group * n, k.head_width)
        keys = torch.cat([text_k, key], 1).transpose(1, 2)
        values = torch.cat([text_v, v], 1).transpose(1, 2)
        attended = F.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
        attended = attended.reshape(b, k.heads, n, k.head_width)
        attended = attended.transpose(1, 2).reshape(b, n, k.width)
        x = x + gate1 * self.out(attended)
        h = rms_normalised(x, k.norm_epsilon) * (1 + scale2) + shift2
        return x + gate2 * self.down(F.silu(self.gate(h)) * self.up(h))


class Denoiser(nn.Module):
    """x [batch, tokens, latent channels] at sigma [batch], with text, to the clean latent."""

    def __init__(self, configuration=DenoiserConfiguration()):
        super().__init__()
        k = self.configuration = configuration
        self.input = nn.Linear(k.latent_channels, k.width)
        self.sigma = nn.Sequential(nn.Linear(k.sigma_channels, k.width), nn.SiLU(),
                                   nn.Linear(k.width, k.width))
        self.pooled = nn.Linear(k.text_width, k.width)
        self.modulation = nn.Linear(k.width, 6 * k.width)
        self.text_kv = nn.Linear(k.text_width, k.layers * 2 * k.key_value_width)
        self.layers = nn.ModuleList(Layer(k) for _ in range(k.layers))
        self.final_modulation = nn.Linear(k.width, 2 * k.width)
        self.output = nn.Linear(k.width, k.latent_channels)
        cos, sin = rope_angles(k)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)
        self._initialise()

    def _initialise(self):
        k = self.configuration
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=module.weight.shape[1] ** -0.5)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.zeros_(self.output.weight)
        nn.init.normal_(self.modulation.weight, std=0.02)
        nn.init.normal_(self.final_modulation.weight, std=0.02)
        for layer in self.layers:
            layer.modulation.data[2] = layer.modulation.data[5] = 0.3
            for linear in (layer.out, layer.down):
                linear.weight.data.mul_((2 * k.layers) ** -0.5)

    def text_keys_values(self, text):
        """All layers' text keys and values, [batch, T, layers, 2, kv heads, head width]."""
        k = self.configuration
        shape = (*text.shape[:2], k.layers, 2, k.key_value_heads, k.head_width)
        return self.text_kv(text).reshape(shape)

    def forward(self, x, sigma, text, pooled, text_mask, taps=None):
        """text [batch, T, text width], pooled [batch, text width], text_mask [batch, T] bool."""
        k = self.configuration
        b, n, _ = x.shape
        features = sigma_features(sigma, k.sigma_channels)
        condition = self.sigma(features) + self.pooled(pooled)
        activated = F.silu(condition)
        modulation = self.modulation(activated).reshape(b, 6, k.width)
        text_kv = self.text_keys_values(text)
        mask = None
        if text_mask is not None:
            picture = torch.ones(b, n, dtype=torch.bool, device=x.device)
            mask = torch.cat([text_mask, picture], 1)[:, None, None, :]
        x = self.input(x)
        if taps is not None:
            taps.update({"denoiser.condition": condition, "denoiser.modulation": modulation,
                         "denoiser.text_kv": text_kv, "denoiser.input": x})
        for i, layer in enumerate(self.layers):
            x = layer(x, modulation, text_kv[:, :, i, 0], text_kv[:, :, i, 1], mask,
                      self.cos, self.sin)
            if taps is not None:
                taps[f"denoiser.layers.{i}"] = x
        shift, scale = self.final_modulation(activated).reshape(b, 2, 1, k.width).unbind(1)
        x = rms_normalised(x, k.norm_epsilon) * (1 + scale) + shift
        return self.output(x)

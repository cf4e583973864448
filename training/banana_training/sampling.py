"""Noise and the Euler sampler, number for number as the engine draws them."""

import numpy as np
import torch

# Pushes noise levels towards 1: training, distillation and the package use the same.
SHIFT = 3.0


def philox_normal(seed, count, stream=0, offset=0):
    """Philox4x32-10 normals (Salmon et al. 2011) as torch's CUDA generator lays them out.

    Stream 0 is what a picture begins with, stream k the fresh noise of its step k; offset: how
    often torch's generator was asked before.
    """
    c = [np.full(count, offset, np.uint64), np.zeros(count, np.uint64),
         np.arange(count, dtype=np.uint64), np.full(count, stream, np.uint64)]
    low = np.uint64(0xFFFFFFFF)
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32 & 0xFFFFFFFF)]
    for i in range(10):
        first = c[0] * np.uint64(0xD2511F53)
        second = c[2] * np.uint64(0xCD9E8D57)
        c = [(second >> np.uint64(32)) ^ c[1] ^ key[0], second & low,
             (first >> np.uint64(32)) ^ c[3] ^ key[1], first & low]
        key = [(key[0] + np.uint64(0x9E3779B9)) & low, (key[1] + np.uint64(0xBB67AE85)) & low]
    u = c[0].astype(np.float64) * 2.0 ** -32 + 2.0 ** -33
    v = c[1].astype(np.float64) * (2.0 ** -32 * 2 * np.pi) + 2.0 ** -33 * 2 * np.pi
    return (np.sqrt(-2 * np.log(u)) * np.sin(v)).astype(np.float32)


def sigmas(steps, shift):
    """steps + 1 noise levels from 1 to 0."""
    u = [1 - k / steps for k in range(steps + 1)]
    return [shift * x / (1 + (shift - 1) * x) for x in u]


def noise_for(seed, tokens, channels, stream=0):
    """[1, tokens, channels] unit normal noise."""
    values = philox_normal(seed, tokens * channels, stream)
    return torch.from_numpy(values).reshape(1, tokens, channels)


def padded_text(encoded, empty):
    """Conditional and unconditional text side by side: hidden, pooled, mask for both."""
    (hidden, pooled, mask), (empty_hidden, empty_pooled) = encoded, empty
    b, n, width = hidden.shape
    blank = hidden.new_zeros(b, n, width)
    blank[:, :empty_hidden.shape[0]] = empty_hidden
    blank_mask = torch.zeros_like(mask)
    blank_mask[:, :empty_hidden.shape[0]] = True
    return (torch.cat([hidden, blank]), torch.cat([pooled, empty_pooled.expand(b, -1)]),
            torch.cat([mask, blank_mask]))


@torch.no_grad()
def sample(denoiser, noise, text, empty, steps=12, guidance=2.5, shift=SHIFT):
    """Clean latents [b, tokens, channels] from noise by guided Euler steps."""
    hidden, pooled, mask = padded_text(text, empty)
    levels, x = sigmas(steps, shift), noise
    for sigma, after in zip(levels, levels[1:]):
        level = torch.full((2 * len(x),), sigma, device=x.device)
        clean = denoiser(torch.cat([x, x]), level, hidden, pooled, mask).float()
        velocity = (torch.cat([x, x]) - clean) / sigma
        given, free = velocity.chunk(2)
        x = x + (after - sigma) * (free + guidance * (given - free))
    return x


@torch.no_grad()
def consistency_sample(denoiser, noise, text, steps, shift, seeds):
    """Clean latents [b, tokens, channels] by multi-step consistency sampling.

    Luo et al. 2023, "Latent Consistency Models", algorithm 3, on the rectified flow: each step goes
    to the clean latents at once and, but for the last one, back to the next level with fresh noise.
    text: hidden, pooled, mask of the prompts; seeds: those of the pictures, which gave `noise`.
    """
    levels, x = sigmas(steps, shift), noise
    for k, (sigma, after) in enumerate(zip(levels, levels[1:])):
        x = denoiser(x, torch.full((len(x),), sigma, device=x.device), *text).float()
        if after > 0:
            fresh = torch.cat([noise_for(seed, *x.shape[1:], stream=k + 1) for seed in seeds])
            x = (1 - after) * x + after * fresh.to(x.device)
    return x

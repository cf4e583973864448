"""Makes the encoder: the linear code of patches that the latents are.

    python -m banana_training.train_autoencoder --data stickers.tar.xz --state STATE

Writes STATE/encoder.pt, which stays frozen from then on. The decoder is trained for it by
`train_decoder.py`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .autoencoder import Encoder, EncoderConfiguration
from .data import Pictures
from .trainer import save_atomically


def at_native_size(pixels, size=512):
    """[4, size, size] float pixels 0...1 of stored [h, w, 4] bytes (cubic if smaller)."""
    x = torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float() / 255
    if x.shape[1] != size:
        x = F.interpolate(x[None], size=(size, size), mode="bicubic")[0].clamp_(0, 1)
    return x


def linear_code(pictures, channels, factor, seed=0):
    """Mean, principal components and spread of patches at half the native size."""
    half = factor // 2
    generator = np.random.default_rng(seed)
    chosen = [p for p in pictures.index if not p.toned and not p.held_out]
    chosen = [chosen[i] for i in generator.permutation(len(chosen))[:1500]]
    patches = []
    for picture in chosen:
        x = at_native_size(pictures[picture], 512)
        x = F.avg_pool2d(x[None], 2)[0]
        x = x.reshape(4, 256 // half, half, 256 // half, half).permute(1, 3, 2, 4, 0)
        x = x.reshape(-1, half * half * 4)
        patches.append(x[torch.from_numpy(generator.permutation(len(x))[:32].copy())])
    patches = torch.cat(patches)
    mean = patches.mean(0)
    _, values, basis = torch.svd_lowrank(patches - mean, q=channels + 32, niter=3)
    spread = values[:channels] / len(patches) ** 0.5
    basis = basis[:, :channels].t().contiguous()
    shape = (half, half, 4)
    return mean.reshape(shape), basis.reshape(channels, *shape), spread


def trained_encoder(state):
    """The frozen encoder of STATE/encoder.pt."""
    stored = torch.load(Path(state) / "encoder.pt", weights_only=True)
    configuration = {k: tuple(v) if isinstance(v, list) else v
                     for k, v in stored["configuration"].items()}
    encoder = Encoder(EncoderConfiguration(**configuration))
    encoder.load_state_dict(stored["model"])
    return encoder.eval().requires_grad_(False)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--threads", type=int, default=2)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    torch.manual_seed(0)
    configuration = EncoderConfiguration()
    encoder, began = Encoder(configuration), time.time()
    encoder.set_linear_code(*linear_code(Pictures(k.data, k.state), configuration.latent_channels,
                                         configuration.linear_factor))
    save_atomically({"model": encoder.state_dict(), "configuration": configuration.dictionary()},
                    Path(k.state) / "encoder.pt")
    print(f"linear code in {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

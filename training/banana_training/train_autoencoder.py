"""Makes the linear code of folded patches that latents are, and the encoder of the package.

    python -m banana_training.train_autoencoder --data stickers.tar.xz --state STATE

Writes STATE/linear-code.pt and STATE/encoder.pt, which stay frozen from then on; `--code` takes
the code from a file instead. The decoder is trained for it by `train_decoder.py`.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from .autoencoder import Encoder, EncoderConfiguration
from .data import Pictures
from .folding import fold
from .linear_code import FOLD, PATCH, LinearCode, imported_code, patches_of
from .trainer import save_atomically


def linear_code(pictures, channels, patch=PATCH, overlap=FOLD, count=1500, seed=0):
    """The principal components of folded patches of pictures that are not held out."""
    generator = np.random.default_rng(seed)
    chosen = [p for p in pictures.index if not p.toned and not p.held_out]
    chosen = [chosen[i] for i in generator.permutation(len(chosen))[:count]]
    patches = []
    for picture in chosen:
        x = patches_of(fold(pictures.tensor(picture), patch, overlap), patch)
        patches.append(x[torch.from_numpy(generator.permutation(len(x))[:32].copy())])
    patches = torch.cat(patches)
    mean = patches.mean(0)
    _, _, basis = torch.svd_lowrank(patches - mean, q=channels + 32, niter=3)
    return LinearCode(mean, basis[:, :channels].t().contiguous(), overlap, patch)


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
    parser.add_argument("--code", help="an .npz with mean, basis, latent_mean, latent_divisor")
    parser.add_argument("--threads", type=int, default=2)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    torch.manual_seed(0)
    began, state = time.time(), Path(k.state)
    configuration = EncoderConfiguration(fold=2 * FOLD)
    encoder = Encoder(configuration)
    code = imported_code(k.code) if k.code else \
        linear_code(Pictures(k.data, k.state), configuration.latent_channels)
    encoder.set_linear_code(code)
    code.save(state / "linear-code.pt")
    save_atomically({"model": encoder.state_dict(), "configuration": configuration.dictionary()},
                    state / "encoder.pt")
    print(f"linear code in {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

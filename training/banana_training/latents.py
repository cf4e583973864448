"""The latents of all pictures under the frozen linear code, cached in f16.

    python -m banana_training.latents --data stickers.tar.xz --state STATE [--toned]

Coordinates of the code; `linear-code.pt` gets the scaling with which the denoiser sees them,
unless it came with one.
"""

import argparse
from pathlib import Path

import torch

from .data import Pictures
from .linear_code import loaded_code

DIVISOR_POWER = 0.3


@torch.no_grad()
def encoded(code, pictures, chosen, batch=64):
    """[picture, tokens, channels] f16 coordinates of the chosen pictures."""
    return torch.cat([code.coordinates(torch.stack([pictures.tensor(p)
                                                    for p in chosen[i:i + batch]])).half()
                      for i in range(0, len(chosen), batch)])


def scaling(latents):
    """Mean and divisor of every channel.

    The divisor is the standard deviation to a power below 1 (then scaled to a mean variance
    of 1): the channels that carry most of the picture keep most of the loss.
    """
    flat = latents.float().reshape(-1, latents.shape[-1])
    mean, spread = flat.mean(0), flat.std(0)
    divisor = spread ** DIVISOR_POWER
    divisor = divisor * ((spread / divisor) ** 2).mean().sqrt()
    return mean, divisor


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--toned", action="store_true", help="those with a skin tone as well")
    parser.add_argument("--threads", type=int, default=2)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    pictures, code = Pictures(k.data, k.state), loaded_code(k.state)
    for toned in (False, True)[:1 + k.toned]:
        path = Path(k.state) / f"latents-{'toned' if toned else 'base'}.pt"
        if path.exists():
            continue
        chosen = [p for p in pictures.index if p.toned == toned]
        latents = encoded(code, pictures, chosen)
        if code.latent_mean is None:
            code.latent_mean, code.latent_divisor = scaling(latents)
            code.save(Path(k.state) / "linear-code.pt")
        torch.save({"files": [p.file for p in chosen], "latents": latents,
                    "mean": code.latent_mean, "divisor": code.latent_divisor}, path)
        print(path, tuple(latents.shape), flush=True)


if __name__ == "__main__":
    main()

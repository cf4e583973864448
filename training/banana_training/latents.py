"""The latents of all pictures under the frozen encoder, cached in f16.

    python -m banana_training.latents --data stickers.tar.xz --state STATE [--toned]
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from .data import Pictures
from .train_autoencoder import at_native_size, trained_encoder

DIVISOR_POWER = 0.3


@torch.no_grad()
def encoded(encoder, pictures, chosen, device, batch=16):
    """[picture, tokens, channels] f16 latents of the chosen pictures."""
    result = []
    for i in range(0, len(chosen), batch):
        x = torch.stack([at_native_size(pictures[p]) for p in chosen[i:i + batch]]).to(device)
        z = encoder(x)
        result.append(z.flatten(2).transpose(1, 2).half().cpu())
        if i // batch % 50 == 0:
            print(f"{i} of {len(chosen)}", flush=True)
    return torch.cat(result)


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
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    pictures = Pictures(k.data, k.state)
    encoder = trained_encoder(k.state).to(device)
    for toned in (False, True)[:1 + k.toned]:
        path = Path(k.state) / f"latents-{'toned' if toned else 'base'}.pt"
        if path.exists():
            continue
        chosen = [p for p in pictures.index if p.toned == toned]
        latents = encoded(encoder, pictures, chosen, device)
        mean, divisor = scaling(latents)
        torch.save({"files": [p.file for p in chosen], "latents": latents, "mean": mean,
                    "divisor": divisor}, path)
        print(path, tuple(latents.shape), "spread of x",
              np.round((latents.float().reshape(-1, latents.shape[-1]).std(0) / divisor)
                       .numpy()[::16], 2), flush=True)


if __name__ == "__main__":
    main()

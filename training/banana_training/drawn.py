"""The latents that the student draws for every picture's caption, cached in f16.

    python -m banana_training.drawn --data stickers.tar.xz --state STATE

The decoder learns on them too (see `train_decoder.py`): it is told what the picture should have
been where the denoiser errs. Pictures of the validation split are left out.
"""

import argparse
from pathlib import Path

import torch

from .sampling import SHIFT, consistency_sample, noise_for
from .drawing import averaged_denoiser
from .train_denoiser import opened
from .trainer import save_atomically


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    k = parser.parse_args()
    examples, texts, device = opened(k)
    student = averaged_denoiser(k.state, "student.pt")[0].to(device)
    tokens, channels = examples.latents.shape[1:]
    rows = [i for i, p in enumerate(examples.pictures) if not p.toned and not p.validation]
    latents = []
    for i in range(0, len(rows), 64):
        some = torch.tensor(rows[i:i + 64])
        hidden, pooled, mask = (t.to(device) for t in texts.caption(some, "name"))
        seeds = some.tolist()
        noise = torch.cat([noise_for(s, tokens, channels) for s in seeds]).to(device)
        latents.append(consistency_sample(student, noise, (hidden.float(), pooled.float(), mask),
                                          k.steps, SHIFT, seeds).half().cpu())
    save_atomically({"files": [examples.pictures[i].file for i in rows],
                     "latents": torch.cat(latents)}, Path(k.state) / "drawn.pt")
    print(len(rows), "pictures", flush=True)


if __name__ == "__main__":
    main()

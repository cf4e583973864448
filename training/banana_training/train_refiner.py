"""Trains the refinement stage on what the decoder makes of true latents with noise.

    python -m banana_training.train_refiner --data stickers.tar.xz --state STATE --until +3600

There the content is right, and edges are what is missing; with `--drawn` a part of the pictures is
what the student draws (STATE/drawn.pt). The loss keeps edges: differences of pixels and of their
gradients at three scales. Reads STATE/decoder.pt; saves and resumes STATE/refiner.pt.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from .data import Pictures
from .drawing import trained_decoder
from .measures import psnr
from .muon import Muon
from .refiner import Refiner, RefinerConfiguration
from .trainer import Ema, save_atomically, train

CROP = 192
SCALES = (1, 2, 4)
EDGE_WEIGHT = 0.5


def charbonnier(x, epsilon=0.01):
    """A smooth absolute value: quadratic where errors are small, so that PSNR counts."""
    return (x.square() + epsilon ** 2).sqrt().mean() - epsilon


def edge_loss(refined, truth):
    """Charbonnier loss of pixels, and of their gradients at SCALES."""
    difference = refined - truth
    loss = charbonnier(difference)
    for scale in SCALES:
        x = F.avg_pool2d(difference, scale) if scale > 1 else difference
        loss = loss + EDGE_WEIGHT * (charbonnier(x.diff(dim=-1)) + charbonnier(x.diff(dim=-2)))
    return loss


class Decoded:
    """Pictures at the native size beside what the decoder makes of their latents."""

    def __init__(self, pictures, state, device, count=1200):
        stored = torch.load(Path(state) / "latents-base.pt", weights_only=True)
        by_file = {p.file: p for p in pictures.index}
        self.pictures, self.all = pictures, [by_file[f] for f in stored["files"]]
        self.latents, self.divisor = stored["latents"], stored["divisor"]
        self.device, self.decoder = device, trained_decoder(state).to(device)
        order = np.random.default_rng(0).permutation(len(self.all))
        self.held_out = [i for i, p in enumerate(self.all) if p.held_out]
        self.trained = [i for i in order if not self.all[i].held_out][:count]
        self.kept, self.drawn, path = {}, {}, Path(state) / "drawn.pt"
        if path.exists():
            drawn = torch.load(path, weights_only=True)
            latent_of = dict(zip(drawn["files"], drawn["latents"]))
            self.drawn = {i: latent_of[self.all[i].file].float() * self.divisor + stored["mean"]
                          for i in self.trained if self.all[i].file in latent_of}

    def truth(self, row):
        """[4, 512, 512] of a picture; its bytes are kept."""
        if row not in self.kept:
            pixels = self.pictures.at_native_size(self.all[row])
            if row in self.held_out:
                return pixels
            self.kept[row] = (pixels * 255 + 0.5).byte()
        return self.kept[row].float() / 255

    @torch.no_grad()
    def decoded(self, latents):
        """[n, 4, 512, 512] of unscaled latents [n, tokens, channels]."""
        return self.decoder(latents.to(self.device)).float()

    def example(self, generator, noise, drawn):
        """Row and unscaled latents of an example: noisy true ones, or with chance `drawn` drawn."""
        row = int(self.trained[generator.integers(len(self.trained))])
        if row in self.drawn and generator.random() < drawn:
            return row, self.drawn[row]
        true = self.latents[row].float()
        return row, true + noise * generator.random() * torch.randn(true.shape) * self.divisor


class RefinerRun:
    """The state of one training run of the refiner; `advance` is one step."""

    def __init__(self, k, examples, device):
        self.k, self.examples, self.device = k, examples, device
        self.path = Path(k.state) / "refiner.pt"
        stored = torch.load(self.path, weights_only=True) if self.path.exists() else {}
        self.step, self.seen = stored.get("step", 0), stored.get("seen", 0)
        self.begin = time.time() - stored.get("seconds", 0.0)
        torch.manual_seed(0)
        self.configuration = RefinerConfiguration(**stored.get("configuration", {
            "fine_width": k.fine_width, "coarse_width": k.coarse_width, "blocks": k.blocks}))
        self.model = Refiner(self.configuration).to(device)
        self.parameters = list(self.model.parameters())
        matrices = [p for n, p in self.model.named_parameters()
                    if p.ndim == 4 and n.startswith("blocks.")]
        inside = set(map(id, matrices))
        self.optimizers = [Muon(matrices, k.rate, half=device.type == "cuda"), torch.optim.AdamW(
            [p for p in self.parameters if id(p) not in inside], lr=k.rate, betas=(0.9, 0.95),
            weight_decay=0.0)]
        self.ema = Ema(self.parameters, 0.998)
        if stored:
            self.model.load_state_dict(stored["model"])
            self.ema.load_state_dict(stored["ema"])
            for optimizer, own in zip(self.optimizers, stored["optimizers"]):
                optimizer.load_state_dict(own)

    def state(self):
        return {"model": self.model.state_dict(), "ema": self.ema.state_dict(), "step": self.step,
                "seen": self.seen, "seconds": time.time() - self.begin,
                "optimizers": [o.state_dict() for o in self.optimizers],
                "configuration": self.configuration.dictionary()}

    def save(self):
        save_atomically(self.state(), self.path)

    def batch(self):
        """Decoded and true crops [batch, 4, CROP, CROP]."""
        g, examples = np.random.default_rng(self.step), self.examples
        torch.manual_seed(self.step)
        rows, latents = zip(*(examples.example(g, self.k.noise, self.k.drawn)
                              for _ in range(self.k.batch)))
        decoded, pairs = examples.decoded(torch.stack(latents)), []
        side = decoded.shape[-1]
        crop = min(CROP, side)
        for row, pixels in zip(rows, decoded):
            top, left = 4 * g.integers((side - crop) // 4 + 1, size=2)
            pairs.append([x[:, top:top + crop, left:left + crop].to(self.device)
                          for x in (pixels, examples.truth(row))])
        return [torch.stack(part) for part in zip(*pairs)]

    def advance(self, factor, progress=0.0):
        """One step at `factor` times the rate; gives the loss and the refined squared error."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.k.rate * factor
        decoded, truth = self.batch()
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            refined = self.model(decoded).float()
        loss = edge_loss(refined, truth)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.ema.update(self.parameters)
        self.step, self.seen = self.step + 1, self.seen + self.k.batch
        return loss.item(), (refined.detach() - truth).square().mean().item()


def trained_refiner(state):
    """The averaged refiner of STATE/refiner.pt."""
    stored = torch.load(Path(state) / "refiner.pt", map_location="cpu", weights_only=True)
    refiner = Refiner(RefinerConfiguration(**stored["configuration"]))
    with torch.no_grad():
        for p, average in zip(refiner.parameters(), stored["ema"]["average"]):
            p.copy_(average)
    return refiner.eval().requires_grad_(False)


@torch.no_grad()
def gain(refiner, examples, count=48):
    """Mean PSNR in dB at half the native size of held-out pictures, decoded and refined."""
    found = []
    for row in examples.held_out[::max(1, len(examples.held_out) // count)]:
        decoded = examples.decoded(examples.latents[row][None].float()).cpu()
        truth = examples.truth(row)
        found.append([psnr(F.avg_pool2d(x[0].clamp(0, 1), 2), F.avg_pool2d(truth, 2))
                      for x in (decoded, refiner(decoded))])
    return np.mean(found, 0)


def parsed(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--until", default="+1e9", help="HH:MM (UTC) or +SECONDS")
    parser.add_argument("--steps", type=int, default=10 ** 9, help="stop after so many in all")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--decay-from", type=float, default=0.5)
    parser.add_argument("--noise", type=float, default=0.4, help="the strongest, on scaled latents")
    parser.add_argument("--drawn", type=float, default=0.0, help="share of drawn pictures")
    parser.add_argument("--fine-width", type=int, default=24)
    parser.add_argument("--coarse-width", type=int, default=56)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)


def main():
    k = parsed()
    torch.set_num_threads(k.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    examples = Decoded(Pictures(k.data, k.state), k.state, device)
    run = RefinerRun(k, examples, device)
    operations = run.configuration.operations(512)
    print(f"{operations / 1e9:.2f} GOP at 512 px, step {run.step}", flush=True)
    train(run, k)
    decoded, refined = gain(trained_refiner(k.state), examples)
    print(f"held out: decoded {decoded:.2f} dB, refined {refined:.2f} dB", flush=True)


if __name__ == "__main__":
    main()

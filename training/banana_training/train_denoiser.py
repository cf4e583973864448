"""Trains the denoiser on cached latents by flow matching, predicting the clean latent.

    python -m banana_training.train_denoiser --data stickers.tar.xz --state STATE --until 14:00

Runs on CUDA where there is one, else on the CPU; saves every three minutes and on SIGTERM, and
goes on by itself from STATE/denoiser.pt. The rate falls to zero at `--until`; a later run with
a later `--until` starts from there.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from .captions import CHANCES, VARIANTS, TextCache
from .data import Pictures
from .denoiser import Denoiser, DenoiserConfiguration
from .muon import Muon
from .text_encoder import minilm_folder, shipped_minilm
from .trainer import Ema, Interrupt, deadline, rate_factor, save_atomically
from .wordpiece import WordPiece


class Examples:
    """Latents and captions, drawn by concept, then style, then mostly without skin tone."""

    def __init__(self, pictures, state, toned_share=0.12):
        base = torch.load(Path(state) / "latents-base.pt", weights_only=True)
        self.mean, self.divisor = base["mean"], base["divisor"]
        parts, files = [base["latents"]], list(base["files"])
        toned = Path(state) / "latents-toned.pt"
        if toned.exists():
            stored = torch.load(toned, weights_only=True)
            parts.append(stored["latents"])
            files += stored["files"]
        self.latents = torch.cat([((p.float() - self.mean) / self.divisor).half() for p in parts])
        by_file = {p.file: p for p in pictures.index}
        self.pictures = [by_file[f] for f in files]
        self.toned_share = toned_share
        concepts = {}
        for i, p in enumerate(self.pictures):
            plain, with_tone = concepts.setdefault(p.concept, {}).setdefault(p.style, ([], []))
            (with_tone if p.toned else plain).append(i)
        self.concepts = [list(styles.values()) for styles in concepts.values()]

    def draw(self, count, g):
        """Picture and caption indices of one batch; a tenth of the captions is empty."""
        pictures, captions = [], []
        variants = g.choice(len(VARIANTS), size=count, p=CHANCES)
        for variant, dropped in zip(variants, g.random(count) < 0.1):
            styles = self.concepts[g.integers(len(self.concepts))]
            plain, toned = styles[g.integers(len(styles))]
            entries = toned if toned and (not plain or g.random() < self.toned_share) else plain
            i = entries[g.integers(len(entries))]
            pictures.append(i)
            captions.append(0 if dropped else 1 + i * len(VARIANTS) + int(variant))
        return torch.tensor(pictures), torch.tensor(captions)


def noise_levels(count, shift, device):
    """Logit-normal levels pushed towards 1, with three tenths of them close to 1."""
    s = torch.sigmoid(torch.randn(count, device=device))
    sigma = shift * s / (1 + (shift - 1) * s)
    high = 1 - 0.03 * torch.rand(count, device=device)
    return torch.where(torch.rand(count, device=device) < 0.3, high, sigma)


def flow_loss(model, clean, noise, sigma, hidden, pooled, mask, half):
    """The velocity's squared error: that of the clean latent over sigma² (at least 0.01)."""
    level = sigma[:, None, None]
    with torch.autocast(clean.device.type, torch.bfloat16, enabled=half):
        predicted = model((1 - level) * clean + level * noise, sigma, hidden, pooled, mask)
    error = (predicted.float() - clean).square().mean((1, 2))
    return (error / sigma.clamp(min=0.2).square()).mean(), error.mean()


def parameter_groups(model):
    """Hidden matrices for Muon; everything else for AdamW."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        hidden = p.ndim == 2 and (name.startswith("layers.") and not name.endswith("modulation")
                                  or name == "text_kv.weight")
        (matrices if hidden else rest).append(p)
    return matrices, rest


def parsed(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--until", default="+1e9", help="HH:MM (UTC) or +SECONDS")
    parser.add_argument("--steps", type=int, default=10 ** 9, help="stop after so many in all")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=4e-3, help="of matrices, under Muon")
    parser.add_argument("--rest-rate", type=float, default=2e-3, help="of the rest, AdamW")
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--heads", type=int, default=4)
    parser.add_argument("--hidden-width", type=int, default=768)
    parser.add_argument("--shift", type=float, default=3.0)
    parser.add_argument("--decay-from", type=float, default=0.7)
    parser.add_argument("--precision", choices=["f32", "bf16"],
                        help="of products: bf16 on CUDA; f32 on CPUs, where without matrix units "
                        "oneDNN's bf16 products took 1.6 times as long")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    return parser.parse_args(arguments)


class Run:
    """The state of one training run; `advance` is one step.

    Every step draws from a generator seeded with its number, so that a run that was stopped
    and resumed takes the same steps as one that was not.
    """

    def __init__(self, k, examples, texts, device):
        self.k, self.examples, self.texts, self.device = k, examples, texts, device
        self.path = Path(k.state) / "denoiser.pt"
        stored = torch.load(self.path, weights_only=True) if self.path.exists() else {}
        self.step, self.seen = stored.get("step", 0), stored.get("seen", 0)
        self.begin = time.time() - stored.get("seconds", 0.0)
        torch.manual_seed(0)
        self.configuration = DenoiserConfiguration(**stored.get("configuration", {
            "width": k.width, "layers": k.layers, "heads": k.heads,
            "hidden_width": k.hidden_width, "latent_channels": examples.latents.shape[-1]}))
        self.model = Denoiser(self.configuration).to(device)
        self.parameters = list(self.model.parameters())
        matrices, self.rest = parameter_groups(self.model)
        self.optimizers = [Muon(matrices, k.rate), torch.optim.AdamW(
            self.rest, lr=k.rest_rate, betas=(0.9, 0.95), weight_decay=0.0)]
        self.ema = Ema(self.parameters, 0.997)
        if stored:
            self.model.load_state_dict(stored["model"])
            self.ema.load_state_dict(stored["ema"])
            for optimizer, own in zip(self.optimizers, stored["optimizers"]):
                optimizer.load_state_dict(own)
        self.half = (k.precision or ("bf16" if device.type == "cuda" else "f32")) == "bf16"
        self.loss_of = torch.compile(flow_loss) if k.compile else flow_loss

    def save(self):
        save_atomically({
            "model": self.model.state_dict(), "ema": self.ema.state_dict(), "step": self.step,
            "optimizers": [o.state_dict() for o in self.optimizers], "seen": self.seen,
            "seconds": time.time() - self.begin, "mean": self.examples.mean,
            "divisor": self.examples.divisor,
            "names": [name for name, _ in self.model.named_parameters()],
            "configuration": self.configuration.dictionary()}, self.path)

    def advance(self, factor):
        """One step at `factor` times the rates; gives the loss and the clean latent's error."""
        k = self.k
        for optimizer, rate in zip(self.optimizers, (k.rate, k.rest_rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        torch.manual_seed(self.step)
        rows, captions = self.examples.draw(k.batch, np.random.default_rng(self.step))
        hidden, pooled, mask = (t.to(self.device) for t in self.texts.batch(captions))
        clean = self.examples.latents[rows].to(self.device).float()
        sigma = noise_levels(k.batch, k.shift, self.device)
        loss, error = self.loss_of(self.model, clean, torch.randn_like(clean), sigma,
                                   hidden.float(), pooled.float(), mask, self.half)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.ema.update(self.parameters)
        self.step, self.seen = self.step + 1, self.seen + k.batch
        return loss.item(), error.item()


def train(run, k):
    """Steps until the time or the number of steps is reached, or a signal comes."""
    begin, end = time.time(), deadline(k.until)
    first, saved, reported, since = run.step, begin, begin, run.step
    interrupt, figures = Interrupt(), []
    while not interrupt and time.time() < end and run.step < k.steps:
        progress = max((time.time() - begin) / (end - begin), (run.step + 1) / k.steps)
        figures.append(run.advance(rate_factor(run.step, 30, progress, k.decay_from)))
        now = time.time()
        if now - reported > 30:
            loss, error = np.mean(figures, 0)
            print(f"{run.step} loss {loss:.4f} clean error {error:.4f} "
                  f"{(run.step - since) * k.batch / (now - reported):.1f} pictures/s", flush=True)
            figures, since, reported = [], run.step, now
        if now - saved > 180:
            run.save()
            saved = now
    run.save()


def main():
    k = parsed()
    torch.set_num_threads(k.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    examples = Examples(Pictures(k.data, k.state), k.state)
    texts = TextCache(examples.pictures, shipped_minilm(k.state).to(device),
                      WordPiece(minilm_folder() / "vocab.txt"),
                      path=Path(k.state) / "captions.pt")
    run = Run(k, examples, texts, device)
    print(f"{len(examples.pictures)} pictures, {len(examples.concepts)} concepts, "
          f"{sum(p.numel() for p in run.parameters) / 1e6:.1f} M parameters, step {run.step}",
          flush=True)
    train(run, k)


if __name__ == "__main__":
    main()

"""Trains the denoiser on cached latents by flow matching, predicting the clean latent.

    python -m banana_training.train_denoiser --data stickers.tar.xz --state STATE --until 14:00

Runs on CUDA where there is one, else on the CPU; saves every three minutes and on SIGTERM, and
goes on by itself from STATE/denoiser.pt. The rate is constant, so that training can go on over
many runs; `--decay-from 0.3` lets it fall to zero over the last seven tenths of this one.
A quarter of what is drawn comes from the composed sets in STATE (`composed.py`), if there are any.
"""

import argparse
import ast
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file

from .captions import CHANCES, VARIANTS, TextCache
from .composed_sets import ComposedSets
from .data import Pictures
from .denoiser import Denoiser, DenoiserConfiguration
from .muon import Muon
from .sampling import SHIFT
from .text_encoder import minilm_folder, shipped_minilm
from .trainer import Ema, save_atomically, train
from .wordpiece import WordPiece


class Examples:
    """Latents and captions, drawn by concept, then style, then with or without skin tone."""

    def __init__(self, pictures, state, toned_share=0.4):
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
            if p.validation:
                continue
            plain, with_tone = concepts.setdefault(p.concept, {}).setdefault(p.style, ([], []))
            (with_tone if p.toned else plain).append(i)
        self.concepts = [list(styles.values()) for styles in concepts.values()]
        self.composed = ComposedSets(state)

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


def noise_levels(count, device):
    """Logit-normal levels pushed towards 1, with three tenths of them close to 1."""
    s = torch.sigmoid(torch.randn(count, device=device))
    sigma = SHIFT * s / (1 + (SHIFT - 1) * s)
    high = 1 - 0.03 * torch.rand(count, device=device)
    return torch.where(torch.rand(count, device=device) < 0.3, high, sigma)


def noisy(batch, sigma):
    """The latents of a batch at noise levels sigma [b]."""
    level = sigma[:, None, None]
    return (1 - level) * batch.clean + level * batch.noise


def predicted(model, x, sigma, batch, half):
    """The clean latents that a denoiser sees in x, f32; products in bf16 if `half`."""
    with torch.autocast(x.device.type, torch.bfloat16, enabled=half):
        return model(x, sigma, batch.hidden, batch.pooled, batch.mask).float()


def is_faster_in_bf16(device):
    """Whether a product of a layer's size is: always on CUDA, on some CPUs."""
    if device.type == "cuda":
        return True
    a, b, seconds = torch.randn(2048, 384), torch.randn(384, 1024), {}
    for kind in (torch.float32, torch.bfloat16):
        x, y = a.to(kind), b.to(kind)
        for _ in range(12):
            began = time.perf_counter()
            x @ y
            took = time.perf_counter() - began
            seconds[kind] = min(took, seconds.get(kind, took))
    return seconds[torch.bfloat16] < 0.8 * seconds[torch.float32]


def flow_loss(model, batch, sigma, half):
    """The velocity's squared error: that of the clean latent over sigma² (at least 0.04)."""
    clean = predicted(model, noisy(batch, sigma), sigma, batch, half)
    error = (clean - batch.clean).square().mean((1, 2))
    return (error / sigma.clamp(min=0.2).square()).mean(), error.mean()


def parameter_groups(model):
    """Hidden matrices for Muon; everything else for AdamW."""
    matrices, rest = [], []
    for name, p in model.named_parameters():
        hidden = p.ndim == 2 and name.endswith(".weight") and (
            name.startswith("layers.") or name == "text_kv.weight")
        (matrices if hidden else rest).append(p)
    return matrices, rest


def options(description, rate, rest_rate, batch=64):
    """What every run over latents and captions can be told."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--until", default="+1e9", help="HH:MM (UTC) or +SECONDS")
    parser.add_argument("--steps", type=int, default=10 ** 9, help="stop after so many in all")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=rate, help="of matrices, under Muon")
    parser.add_argument("--rest-rate", type=float, default=rest_rate, help="of the rest, AdamW")
    parser.add_argument("--decay-from", type=float, default=0.3,
                        help="part of this run from which on rates fall to zero; 1: never")
    parser.add_argument("--composed", type=float, default=0.25,
                        help="share of composed pictures, if there are any")
    parser.add_argument("--precision", choices=["f32", "bf16"],
                        help="of products: bf16 on CUDA, on CPUs what a short measurement says")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    return parser


def parsed(arguments=None):
    parser = options(__doc__, rate=2e-3, rest_rate=1e-3)
    parser.set_defaults(decay_from=1.0)
    parser.add_argument("--width", type=int, default=384)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--heads", type=int, default=6)
    parser.add_argument("--hidden-width", type=int, default=1024)
    parser.add_argument("--weights", help="what an empty state begins with: safetensors with its "
                        "configuration and pictures_seen")
    return parser.parse_args(arguments)


class Batch(NamedTuple):
    """Latents [b, tokens, channels], noise like them, and their captions, encoded."""

    clean: torch.Tensor
    noise: torch.Tensor
    hidden: torch.Tensor
    pooled: torch.Tensor
    mask: torch.Tensor


def joined(first, second):
    """Two batches of hidden [b, T, width], pooled, mask as one, as long as the longer of them."""
    length = max(first[2].shape[1], second[2].shape[1])
    padded = [(F.pad(h, (0, 0, 0, length - h.shape[1])), p, F.pad(m, (0, length - m.shape[1])))
              for h, p, m in (first, second)]
    return [torch.cat(parts) for parts in zip(*padded)]


def trimmed(hidden, pooled, mask, step=8):
    """Without what is padding in every row; lengths stay multiples of `step`, or whole."""
    length = -(-int(mask.sum(1).max()) // step) * step
    return hidden[:, :length], pooled, mask[:, :length]


class Run:
    """The state of one training run of a denoiser; `advance` is one step.

    Every step draws from a generator seeded with its number, so that a run that was stopped
    and resumed takes the same steps as one that was not.
    """

    file = "denoiser.pt"

    def __init__(self, k, examples, texts, device):
        self.k, self.examples, self.texts, self.device = k, examples, texts, device
        self.path = Path(k.state) / self.file
        self.half = k.precision == "bf16" or (not k.precision and is_faster_in_bf16(device))
        stored = torch.load(self.path, weights_only=True) if self.path.exists() else {}
        self.step, self.seen = stored.get("step", 0), stored.get("seen", 0)
        self.begin = time.time() - stored.get("seconds", 0.0)
        torch.manual_seed(0)
        self.model = self.initial(stored).to(device)
        self.configuration = self.model.configuration
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        matrices, self.rest = parameter_groups(self.model)
        self.optimizers = [Muon(matrices, k.rate, half=self.half), torch.optim.AdamW(
            self.rest, lr=k.rest_rate, betas=(0.9, 0.95), weight_decay=0.0)]
        self.ema = Ema(self.parameters, 0.999)
        if stored:
            self.model.load_state_dict(stored["model"])
            self.ema.load_state_dict(stored["ema"])
            for optimizer, own in zip(self.optimizers, stored["optimizers"]):
                optimizer.load_state_dict(own)
        self.loss_of = torch.compile(self.loss) if k.compile else self.loss

    def initial(self, stored):
        """The model before training, of the stored configuration if there is one."""
        k = self.k
        if k.weights and not stored:
            model, self.seen = begun(k.weights)
            return model
        return Denoiser(DenoiserConfiguration(**stored.get("configuration", {
            "width": k.width, "layers": k.layers, "heads": k.heads,
            "hidden_width": k.hidden_width,
            "latent_channels": self.examples.latents.shape[-1]})))

    def state(self):
        return {
            "model": self.model.state_dict(), "ema": self.ema.state_dict(), "step": self.step,
            "optimizers": [o.state_dict() for o in self.optimizers], "seen": self.seen,
            "seconds": time.time() - self.begin, "mean": self.examples.mean,
            "divisor": self.examples.divisor,
            "names": [n for n, p in self.model.named_parameters() if p.requires_grad],
            "configuration": self.configuration.dictionary()}

    def save(self):
        save_atomically(self.state(), self.path)

    def levels(self):
        """Noise levels of one batch, as `loss` takes them."""
        return noise_levels(self.k.batch, self.device)

    def loss(self, batch, sigma):
        """What is minimised, and the squared error of the clean latent."""
        return flow_loss(self.model, batch, sigma, self.half)

    def batch(self):
        generator, composed = np.random.default_rng(self.step), self.examples.composed
        count = int(generator.binomial(self.k.batch, self.k.composed)) if len(composed) else 0
        rows, captions = self.examples.draw(self.k.batch - count, generator)
        clean = self.examples.latents[rows].float()
        text = self.texts.batch(captions)
        if count:
            coordinates, *more = composed.draw(count, generator)
            scaled = (coordinates.float() - self.examples.mean) / self.examples.divisor
            clean, text = torch.cat([clean, scaled]), joined(text, more)
        clean = clean.to(self.device)
        hidden, pooled, mask = (t.to(self.device) for t in trimmed(*text))
        return Batch(clean, torch.randn_like(clean), hidden.float(), pooled.float(), mask)

    def advance(self, factor, progress=0.0):
        """One step at `factor` times the rates; gives the loss and the clean latent's error."""
        for optimizer, rate in zip(self.optimizers, (self.k.rate, self.k.rest_rate)):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        torch.manual_seed(self.step)
        batch = self.batch()
        loss, error = self.loss_of(batch, self.levels())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.rest, 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.model.zero_grad(set_to_none=True)
        self.ema.update(self.parameters)
        self.step, self.seen = self.step + 1, self.seen + self.k.batch
        return loss.item(), error.item()


def begun(path):
    """A denoiser of a file of averaged weights, and the pictures that it has seen."""
    with safe_open(path, "pt") as file:
        about = file.metadata()
    model = Denoiser(DenoiserConfiguration(**ast.literal_eval(about["configuration"])))
    model.load_state_dict({name: t.float() for name, t in load_file(path).items()})
    return model, int(about["pictures_seen"])


def opened(k):
    """Examples, encoded captions and device of a run's options."""
    torch.set_num_threads(k.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    examples = Examples(Pictures(k.data, k.state), k.state)
    texts = TextCache(examples.pictures, shipped_minilm(k.state).to(device),
                      WordPiece(minilm_folder() / "vocab.txt"),
                      path=Path(k.state) / "captions.pt")
    return examples, texts, device


def main():
    k = parsed()
    run = Run(k, *opened(k))
    print(f"{len(run.examples.concepts)} concepts, "
          f"{sum(p.numel() for p in run.parameters) / 1e6:.1f} M parameters, step {run.step}",
          flush=True)
    train(run, k)


if __name__ == "__main__":
    main()

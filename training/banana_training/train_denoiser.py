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

    def __init__(self, pictures, state, seed, toned_share=0.12):
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
        self.generator = np.random.default_rng(seed)
        self.toned_share = toned_share
        concepts = {}
        for i, p in enumerate(self.pictures):
            plain, with_tone = concepts.setdefault(p.concept, {}).setdefault(p.style, ([], []))
            (with_tone if p.toned else plain).append(i)
        self.concepts = [list(styles.values()) for styles in concepts.values()]

    def draw(self, count):
        """Picture and caption indices of one batch; a tenth of the captions is empty."""
        g, pictures, captions = self.generator, [], []
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
    """Logit-normal levels pushed towards 1, with a fifth of them close to 1."""
    s = torch.sigmoid(torch.randn(count, device=device))
    sigma = shift * s / (1 + (shift - 1) * s)
    high = 1 - 0.03 * torch.rand(count, device=device)
    return torch.where(torch.rand(count, device=device) < 0.2, high, sigma)


def flow_loss(model, clean, noise, sigma, hidden, pooled, mask, kind):
    """The velocity's squared error: that of the clean latent over sigma² (at least 0.01)."""
    level = sigma[:, None, None]
    with torch.autocast(kind, torch.bfloat16):
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


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--until", required=True, help="HH:MM (UTC) or +SECONDS")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=3e-3, help="of matrices, under Muon")
    parser.add_argument("--rest-rate", type=float, default=1.5e-3, help="of the rest, AdamW")
    parser.add_argument("--shift", type=float, default=3.0)
    parser.add_argument("--decay-from", type=float, default=0.7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    state_path = Path(k.state) / "denoiser.pt"
    stored = torch.load(state_path, weights_only=True) if state_path.exists() else None
    step = stored["step"] if stored else 0
    seen = stored["seen"] if stored else 0
    spent = stored["seconds"] if stored else 0.0
    torch.manual_seed(step)
    examples = Examples(Pictures(k.data, k.state), k.state, step)
    encoder = shipped_minilm(k.state).to(device)
    texts = TextCache(examples.pictures, encoder, WordPiece(minilm_folder() / "vocab.txt"),
                      path=Path(k.state) / "captions.pt")
    del encoder
    configuration = DenoiserConfiguration()
    model = Denoiser(configuration).to(device)
    if stored:
        model.load_state_dict(stored["model"])
    parameters = list(model.parameters())
    matrices, rest = parameter_groups(model)
    optimizers = [Muon(matrices, k.rate),
                  torch.optim.AdamW(rest, lr=k.rest_rate, betas=(0.9, 0.95), weight_decay=0.0)]
    ema = Ema(parameters, 0.997)
    if stored:
        ema.load_state_dict(stored["ema"])
        for optimizer, own in zip(optimizers, stored["optimizers"]):
            optimizer.load_state_dict(own)
    rates = [k.rate, k.rest_rate]

    def save():
        save_atomically({"model": model.state_dict(), "ema": ema.state_dict(), "step": step,
                         "optimizers": [o.state_dict() for o in optimizers], "seen": seen,
                         "seconds": spent + time.time() - begin, "mean": examples.mean,
                         "divisor": examples.divisor, "names": names,
                         "configuration": configuration.dictionary()}, state_path)

    names = [n for n, _ in model.named_parameters()]
    loss_of = torch.compile(flow_loss) if k.compile else flow_loss
    print(f"{len(examples.pictures)} pictures, {len(examples.concepts)} concepts, "
          f"{sum(p.numel() for p in parameters) / 1e6:.1f} M parameters, step {step}", flush=True)
    begin, end = time.time(), deadline(k.until)
    first, saved, reported, since = step, begin, begin, step
    interrupt, losses, errors = Interrupt(), [], []
    while not interrupt and time.time() < end:
        factor = rate_factor(step - first, 30, (time.time() - begin) / (end - begin), k.decay_from)
        for optimizer, rate in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        rows, captions = examples.draw(k.batch)
        hidden, pooled, mask = (t.to(device) for t in texts.batch(captions))
        clean = examples.latents[rows].to(device).float()
        sigma = noise_levels(k.batch, k.shift, device)
        loss, error = loss_of(model, clean, torch.randn_like(clean), sigma, hidden.float(),
                              pooled.float(), mask, device.type)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(rest, 1.0)
        for optimizer in optimizers:
            optimizer.step()
        model.zero_grad(set_to_none=True)
        ema.update(parameters)
        losses.append(loss.item())
        errors.append(error.item())
        step, seen = step + 1, seen + k.batch
        now = time.time()
        if now - reported > 30:
            print(f"{step} loss {np.mean(losses):.4f} clean error {np.mean(errors):.4f} "
                  f"{(step - since) * k.batch / (now - reported):.1f} pictures/s", flush=True)
            losses, errors, since, reported = [], [], step, now
        if now - saved > 180:
            save()
            saved = now
    save()


if __name__ == "__main__":
    main()

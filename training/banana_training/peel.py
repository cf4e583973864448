"""Trains a peel on a frozen base, in minutes on a CPU.

    python train_peel.py --base ../models/sticker --pictures FOLDER --out pixel-art.safetensors

FOLDER holds pictures (PNG, WebP, SVG; their alpha is kept) and captions: captions.jsonl with
{"file", "caption"} a line, or NAME.txt beside each picture. `--base` is a model package as it
ships; its weights are read, not changed. A peel.json in FOLDER may hold "title", "trigger",
"license", "author" and "description"; options come before it. A run that is stopped (SIGTERM,
Ctrl-C) keeps what it has learned beside `--out` and goes on when started again in the same way.
"""

import argparse
import json
import sys
import time
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import torch

from .base import Base
from .captions import CHANCES, VARIANTS, variations
from .lora import ALL_SITES, Peel, sites, write_peel
from .peel_folder import FolderError, captioned_pictures, encoded
from .trainer import Interrupt, rate_factor, save_atomically

TRIGGER_SHARE = 0.25
DEFAULT_STYLE_SHARE = 0.6
EMPTY_SHARE = 0.1
EPOCHS_OF_TEXTS = 4
ABOUT = ("trigger", "license", "author", "description")


def parsed(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="a model package")
    parser.add_argument("--pictures", required=True, help="a folder of pictures and captions")
    parser.add_argument("--out", required=True, help="NAME.safetensors")
    parser.add_argument("--minutes", type=float, default=4.0)
    parser.add_argument("--steps", type=int, default=10 ** 9, help="stop after so many in all")
    parser.add_argument("--rank", type=int, default=16)
    parser.add_argument("--sites", default=",".join(ALL_SITES),
                        help="kinds of linears in the layers that are adapted")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=5e-3)
    parser.add_argument("--up-rate", type=float, default=4.0,
                        help="the second factors' rate over the first's (Hayou et al. 2024, LoRA+)")
    parser.add_argument("--tokens", type=int, default=32,
                        help="how many tokens of a picture are seen at first; 0: all")
    parser.add_argument("--whole-from", type=float, default=0.85,
                        help="the part of the run from which all tokens are seen")
    parser.add_argument("--decay-from", type=float, default=0.3)
    parser.add_argument("--style", help="train for this style only; else the model's default "
                        "style most of the time, and the others")
    parser.add_argument("--title", help="else the file's name")
    parser.add_argument("--trigger", help="words that may be added to a prompt; the peel works "
                        "without them")
    for name in ABOUT[1:]:
        parser.add_argument("--" + name)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


class Examples:
    """Clean latents of a folder's pictures and what may be said to get each of them."""

    def __init__(self, base, folder, style, trigger):
        self.base, self.trigger = base, trigger
        pictures = [p for p in captioned_pictures(folder) if not p.held_out]
        if not pictures:
            raise FolderError(f"all pictures of {folder} are held out: leave some to train on")
        latents, _ = encoded(base.encoder, folder, pictures, base.native_size)
        self.latents = (latents - base.mean) / base.divisor
        self.texts, self.own_styles = [variations(p) for p in pictures], [p.style for p in pictures]
        unknown = {p.style for p in pictures if p.style} - set(base.styles)
        if unknown:
            raise FolderError(f"captions.jsonl asks for {', '.join(sorted(unknown))}; the model "
                              f"has the styles {', '.join(base.styles)}")
        others = [s for s in base.styles if s != base.default_style]
        self.styles = [style] if style else [base.default_style] + others
        first = DEFAULT_STYLE_SHARE if len(self.styles) > 1 else 1.0
        rest = [(1 - first) / len(others)] * (len(self.styles) - 1)
        self.shares = [first] + rest

    def draw(self, step, count, seed):
        """Pictures and texts of a step; every epoch visits each picture once, in its own order.

        Texts come again after a few epochs: encoding them anew costs a fifth of a step.
        """
        size, orders, rows, texts = len(self.texts), {}, [], []
        for position in range(step * count, (step + 1) * count):
            epoch, place = divmod(position, size)
            if epoch not in orders:
                orders[epoch] = np.random.default_rng([seed, epoch]).permutation(size)
            rows.append(int(orders[epoch][place]))
            texts.append(self.text(rows[-1], np.random.default_rng(
                [seed, epoch % EPOCHS_OF_TEXTS, rows[-1]])))
        return rows, texts

    def text(self, row, g):
        """A way to ask for a picture. Only guided bases use the empty prompt."""
        if self.base.is_guided and g.random() < EMPTY_SHARE:
            return ""
        prompt = self.texts[row][g.choice(len(VARIANTS), p=CHANCES)]
        if self.trigger and g.random() < TRIGGER_SHARE:
            prompt += ", " + self.trigger
        style = self.own_styles[row] or g.choice(self.styles, p=self.shares)
        return self.base.text(style, prompt)


def noise_levels(count, shift):
    """Half of them next to 1, where a few-step base starts and captions decide; the rest high."""
    s = torch.sigmoid(torch.randn(count))
    sigma = (shift * s / (1 + (shift - 1) * s)).clamp(min=0.3)
    high = 1 - 0.02 * torch.rand(count)
    return torch.where(torch.rand(count) < 0.5, high, sigma)


@contextmanager
def seeing(denoiser, places):
    """While it lasts, the denoiser's tokens are those at `places` only; None: all of them."""
    cos, sin = denoiser.cos, denoiser.sin
    if places is not None:
        denoiser.cos, denoiser.sin = cos[places], sin[places]
    try:
        yield
    finally:
        denoiser.cos, denoiser.sin = cos, sin


class Run:
    """A training run; `advance` is one step.

    Every step draws from generators seeded with its number, so that a run that was stopped and
    resumed takes the same steps as one that was not (but for rounding in texts encoded together).
    """

    def __init__(self, k, base, examples):
        self.k, self.base, self.examples = k, base, examples
        names = sites(base.denoiser, k.sites.split(","))
        if not names:
            raise SystemExit(f"no linear of the layers is one of {k.sites}; "
                             f"there are {', '.join(ALL_SITES)}")
        torch.manual_seed(k.seed)
        self.peel = Peel(base.denoiser, names, k.rank, k.rank)
        downs, ups = self.peel.parameters()[::2], self.peel.parameters()[1::2]
        self.optimizer = torch.optim.AdamW(
            [{"params": downs, "ratio": 1.0}, {"params": ups, "ratio": k.up_rate}],
            lr=k.rate, betas=(0.9, 0.99), weight_decay=0.0)
        self.path = Path(f"{k.out}.training")
        self.step, self.seconds = 0, 0.0
        self.made_with = [base.sha256, k.rank, k.sites, k.batch, k.seed, len(examples.texts)]
        if self.path.exists():
            stored = torch.load(self.path, weights_only=True)
            if stored["made_with"] != self.made_with:
                raise SystemExit(f"{self.path} is of a run with another base, folder, rank, batch "
                                 "or sites: remove it to begin anew")
            self.peel.load_state_dict(stored["peel"])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.step, self.seconds = stored["step"], stored["seconds"]

    def save(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        save_atomically({"peel": self.peel.state_dict(), "step": self.step,
                         "optimizer": self.optimizer.state_dict(), "seconds": self.seconds,
                         "made_with": self.made_with}, self.path)

    def advance(self, factor, tokens=0):
        """One step at `factor` times the rates; gives the error of the clean latent.

        With `tokens` only so many of every picture are seen (Zheng et al. 2023, "Fast Training
        of Diffusion Models with Masked Transformers").
        """
        k = self.k
        for group in self.optimizer.param_groups:
            group["lr"] = k.rate * factor * group["ratio"]
        torch.manual_seed(k.seed + self.step)
        rows, texts = self.examples.draw(self.step, k.batch, k.seed)
        text = self.base.encode_texts(texts)
        clean = self.examples.latents[rows]
        places = None
        if 0 < tokens < clean.shape[1]:
            places = torch.randperm(clean.shape[1])[:tokens]
            clean = clean[:, places]
        sigma = noise_levels(k.batch, self.base.configuration["sampling"]["sigmaShift"])
        level = sigma[:, None, None]
        noisy = (1 - level) * clean + level * torch.randn_like(clean)
        with seeing(self.base.denoiser, places):
            predicted = self.base.denoiser(noisy, sigma, *text)
        error = (predicted - clean).square().mean()
        error.backward()
        torch.nn.utils.clip_grad_norm_(self.peel.parameters(), 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.step += 1
        return error.item()


def train(run, k):
    """Steps until the minutes or the steps are used up (true), or a signal comes (false)."""
    interrupt, errors = Interrupt(), []
    total, started = 60 * k.minutes, time.time() - run.seconds
    reported, saved = time.time(), time.time()
    while not interrupt:
        run.seconds = time.time() - started
        progress = max(run.seconds / total, run.step / k.steps)
        if progress >= 1:
            return True
        errors.append(run.advance(rate_factor(run.step, 20, progress, k.decay_from),
                                  k.tokens if progress < k.whole_from else 0))
        now = time.time()
        if now - reported > 15:
            print(f"{run.seconds:.0f} s, step {run.step}: error {np.mean(errors):.4f}, "
                  f"{len(errors) * k.batch / (now - reported):.0f} pictures/s", flush=True)
            errors, reported = [], now
        if now - saved > 60:
            run.save()
            saved = now
    return False


def about(k):
    """Title, trigger words, licence, author, description: options, then the folder's peel.json."""
    path, names = Path(k.pictures) / "peel.json", ("title", *ABOUT)
    try:
        stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except ValueError:
        stored = None
    if not isinstance(stored, dict) or any(not isinstance(stored.get(n, ""), str) for n in names):
        raise FolderError(f'{path}: write {{"title": "Woodcut", "trigger": "woodcut"}}')
    found = {n: getattr(k, n) if getattr(k, n) is not None else stored.get(n, "") for n in names}
    return found | {"title": found["title"] or Path(k.out).stem}


def metadata(found, base):
    """ModelSpec 1.0.1, and which base the peel is for. found: what `about` gives."""
    return {"modelspec.sai_model_spec": "1.0.1", "modelspec.architecture": "sticker/lora",
            "modelspec.implementation": "banana", "modelspec.title": found["title"],
            "modelspec.description": found["description"],
            "modelspec.author": found["author"], "modelspec.license": found["license"],
            "modelspec.trigger_phrase": found["trigger"],
            "modelspec.date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
            "modelspec.resolution": f"{base.native_size}x{base.native_size}",
            "banana.base": base.manifest["name"], "banana.base_version": base.manifest["version"],
            "banana.base_sha256": base.sha256}


def main(arguments=None):
    k = parsed(arguments)
    torch.set_num_threads(k.threads)
    begun = time.time()
    try:
        base = Base(k.base)
        if k.style and k.style not in base.styles:
            raise FolderError(f"the model has no style {k.style}; "
                              f"it has {', '.join(base.styles)}")
        found = about(k)
        examples = Examples(base, k.pictures, k.style, found["trigger"])
        run = Run(k, base, examples)
    except (FolderError, FileNotFoundError) as error:
        sys.exit(f"train_peel: {error}")
    print(f"{len(examples.texts)} pictures in {time.time() - begun:.0f} s, "
          f"{sum(p.numel() for p in run.peel.parameters()) / 1e3:.0f} k parameters, "
          f"step {run.step}", flush=True)
    if not train(run, k):
        run.save()
        sys.exit(f"stopped at step {run.step}; the same command goes on from there")
    write_peel(k.out, run.peel, metadata(found, base))
    run.path.unlink(missing_ok=True)
    print(f"{k.out}: {Path(k.out).stat().st_size / 1e6:.2f} MB after {run.step} steps")


if __name__ == "__main__":
    main()

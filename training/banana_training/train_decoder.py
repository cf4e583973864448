"""Trains the decoder for a frozen encoder.

    python -m banana_training.train_decoder --data stickers.tar.xz --state STATE --until 13:10

Folded patches are described by their first 512 principal components at half the native size, so
that squared errors of coordinates are squared errors of pixels. A linear map from the latents comes
from least squares; the transformer learns what is left, from clean and from noisy latents.
Saves to STATE/decoder.pt, goes on by itself from STATE/decoder-training.pt.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from .data import Pictures
from .decoder import Decoder, DecoderConfiguration, Features
from .folding import fold
from .linear_code import FOLD, PATCH, LinearCode, patches_of
from .muon import Muon
from .trainer import Ema, Interrupt, deadline, rate_factor, save_atomically

COMPONENTS = 512
# How many pictures the components are of.
SAMPLE = 1500


def principal_components(pictures, seed=0):
    """A code of COMPONENTS, and what each of them looks like at full size."""
    generator = np.random.default_rng(seed)
    chosen = [p for p in pictures.index if not p.toned and not p.held_out]
    chosen = [chosen[i] for i in generator.permutation(len(chosen))[:SAMPLE]]
    size = PATCH ** 2 * 4
    total, mean, second = 0, torch.zeros(size), torch.zeros(size, size)
    for i in range(0, len(chosen), 50):
        rows = torch.cat([patches_of(fold(pictures.tensor(p), PATCH, FOLD), PATCH)
                          for p in chosen[i:i + 50]])
        total += len(rows)
        mean += rows.sum(0)
        second.addmm_(rows.t(), rows)
    mean /= total
    code = LinearCode(mean, leading(second / total - torch.outer(mean, mean), COMPONENTS))
    return {"mean": mean, "basis": code.basis} | full_size(chosen[:len(chosen) // 3], pictures,
                                                           code)


def leading(covariance, count, rounds=8):
    """The first `count` eigenvectors, as rows, by subspace iteration: all of them take minutes."""
    torch.manual_seed(0)
    space = torch.randn(len(covariance), min(count + 64, len(covariance)))
    for _ in range(rounds):
        space = torch.linalg.qr(covariance @ space).Q
    _, turn = torch.linalg.eigh(space.t() @ covariance @ space)
    return (space @ turn[:, -count:].flip(1)).t().contiguous()


def full_size(chosen, pictures, code):
    """What each component looks like at full size: least squares of patches on coordinates.

    On a sample the coordinates are not quite uncorrelated, and a weak component would take on much
    of a strong one if each were fitted alone: that cost 4 dB.
    """
    gram = torch.zeros(COMPONENTS + 1, COMPONENTS + 1)
    product = torch.zeros(COMPONENTS + 1, 4 * PATCH ** 2 * 4)
    for i in range(0, len(chosen), 50):
        full = torch.stack([pictures.at_native_size(p) for p in chosen[i:i + 50]])
        rows = patches_of(fold(full, 2 * PATCH, 2 * FOLD), 2 * PATCH).flatten(0, 1)
        c = code.coordinates(F.avg_pool2d(full, 2)).flatten(0, 1)
        c = torch.cat([c, torch.ones(len(c), 1)], 1)
        gram.addmm_(c.t(), c)
        product.addmm_(c.t(), rows)
    gram.diagonal()[:COMPONENTS].add_(1e-5 * len(chosen))
    solution = torch.linalg.solve(gram.double(), product.double()).float()
    return {"full_basis": solution[:-1].contiguous(), "full_mean": solution[-1].contiguous()}


def coordinates(pictures, chosen, code):
    """[picture, tokens, components] f16 and the mean squared pixel error of leaving the rest."""
    code, result, rest = LinearCode(code["mean"], code["basis"]), [], []
    for i in range(0, len(chosen), 64):
        x = torch.stack([pictures.tensor(p) for p in chosen[i:i + 64]])
        rows = patches_of(fold(x, PATCH, FOLD), PATCH) - code.mean
        c = rows @ code.basis.t()
        rest.append((rows.square().sum((1, 2)) - c.square().sum((1, 2))) / rows[0].numel())
        result.append(c.half())
    return torch.cat(result), torch.cat(rest)


def prepared(pictures, state):
    """Principal components and every picture's coordinates, cached in STATE."""
    path = Path(state) / "code.pt"
    if path.exists():
        return torch.load(path, weights_only=True)
    began = time.time()
    code = principal_components(pictures)
    print(f"principal components in {time.time() - began:.0f} s", flush=True)
    chosen = [p for p in pictures.index if not p.toned]
    c, rest = coordinates(pictures, chosen, code)
    stored = {"code": code, "files": [p.file for p in chosen], "coordinates": c, "rest": rest}
    save_atomically(stored, path)
    print(f"coordinates in {time.time() - began:.0f} s", flush=True)
    return stored


def drawn_latents(state, files, is_held):
    """Rows and scaled latents that the student drew for pictures that may be trained on.

    None before there is a student. They are half of what the decoder then learns on: told what
    the picture should have been, it mends the seams between tokens that disagree.
    """
    path = Path(state) / "drawn.pt"
    if not path.exists():
        return torch.zeros(0, dtype=torch.long), torch.zeros(0)
    stored = torch.load(path, weights_only=True)
    row_of = {file: i for i, file in enumerate(files)}
    rows = torch.tensor([row_of[file] for file in stored["files"]])
    kept = ~is_held[rows]
    return rows[kept], stored["latents"][kept]


class Completion(nn.Module):
    """The residual coordinates [batch, tokens, components] that the transformer gives."""

    def __init__(self, configuration):
        super().__init__()
        self.features = Features(configuration)
        self.output = nn.Linear(configuration.width, COMPONENTS, bias=False)
        nn.init.zeros_(self.output.weight)

    def forward(self, x):
        return self.output(self.features(x))


def least_squares(x, c):
    """Weight [components, channels] and bias with which x gives c best."""
    x = torch.cat([x, torch.ones(len(x), 1)], 1)
    solution = torch.linalg.lstsq(x.t() @ x + 1e-3 * torch.eye(x.shape[1]), x.t() @ c).solution
    return solution[:-1].t().contiguous(), solution[-1].contiguous()


@torch.no_grad()
def assembled(model, linear, code, mean, divisor, configuration):
    """The decoder of unscaled latents that a trained completion and a linear map make."""
    decoder = Decoder(configuration)
    state = {f"{k}": v for k, v in model.features.state_dict().items()}
    state["input.bias"] = state["input.bias"] - state["input.weight"] @ (mean / divisor)
    state["input.weight"] = state["input.weight"] / divisor
    weight, bias = linear
    full = code["full_basis"].t()
    state["linear_out.weight"] = full @ (weight / divisor)
    state["linear_out.bias"] = code["full_mean"] + full @ (bias - weight @ (mean / divisor))
    state["head.weight"] = full @ model.output.weight
    decoder.load_state_dict(state)
    return decoder


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--until", required=True, help="HH:MM (UTC) or +SECONDS")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=3e-3)
    parser.add_argument("--noise", type=float, default=0.3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--compile", action="store_true")
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    torch.manual_seed(0)
    state = Path(k.state)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    configuration = DecoderConfiguration(fold=2 * FOLD)
    pictures = Pictures(k.data, k.state)
    stored = prepared(pictures, state)
    latents = torch.load(state / "latents-base.pt", weights_only=True)
    assert latents["files"] == stored["files"], "latents-base.pt is of other pictures"
    mean, divisor = latents["mean"], latents["divisor"]
    x = ((latents["latents"].float() - mean) / divisor).half()
    c = stored["coordinates"]
    held = {p.file for p in pictures.index if p.held_out}
    is_held = torch.tensor([file in held for file in stored["files"]])
    x_train, c_train = x[~is_held], c[~is_held]
    drawn_rows, drawn = drawn_latents(state, stored["files"], is_held)
    linear = least_squares(x_train.float().reshape(-1, x.shape[-1]),
                           c_train.float().reshape(-1, COMPONENTS))
    weight, bias = (t.to(device) for t in linear)

    model = Completion(configuration).to(device)
    parameters = list(model.parameters())
    matrices = [p for n, p in model.named_parameters() if p.ndim == 2 and ".layers." in n]
    rest = [p for n, p in model.named_parameters() if not (p.ndim == 2 and ".layers." in n)]
    optimizers = [Muon(matrices, k.rate),
                  torch.optim.AdamW(rest, lr=k.rate / 2, betas=(0.9, 0.95), weight_decay=0.0)]
    rates = [k.rate, k.rate / 2]
    ema = Ema(parameters, 0.998)
    step, path = 0, state / "decoder-training.pt"
    if path.exists():
        saved_state = torch.load(path, weights_only=True)
        model.load_state_dict(saved_state["model"])
        ema.load_state_dict(saved_state["ema"])
        for optimizer, values in zip(optimizers, saved_state["optimizers"]):
            optimizer.load_state_dict(values)
        step = saved_state["step"]

    def loss_of(x, c, noise):
        x = x + noise
        linear_part = x @ weight.t() + bias
        # A CPU without matrix units multiplies faster in f32.
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            residual = model(x)
        return (linear_part + residual.float() - c).square().sum(-1).mean()

    @torch.no_grad()
    def psnr_of(latents, rows):
        errors = []
        for i in range(0, len(rows), 32):
            xs, cs = latents[i:i + 32].float(), c[rows[i:i + 32]].float()
            y = xs @ linear[0].t() + linear[1] + model(xs.to(device)).float().cpu()
            errors.append((y - cs).square().sum(-1).mean(1) / (configuration.patch ** 2))
        return float((-10 * torch.log10(torch.cat(errors) + stored["rest"][rows])).mean())

    def psnr(selection):
        rows = selection.nonzero()[:, 0]
        return psnr_of(x[rows], rows)

    def save():
        save_atomically({"model": model.state_dict(), "ema": ema.state_dict(), "step": step,
                         "optimizers": [o.state_dict() for o in optimizers]}, path)
        own = [p.detach().clone() for p in parameters]
        ema.copy_to(parameters)
        seen = torch.zeros_like(is_held)
        seen[(~is_held).nonzero()[::40, 0]] = True
        drawn_psnr = f", drawn {psnr_of(drawn[::40], drawn_rows[::40]):.2f} dB" if len(drawn) else ""
        print(f"{step}: held out {psnr(is_held):.2f} dB, seen {psnr(seen):.2f} dB{drawn_psnr}",
              flush=True)
        decoder = assembled(model.cpu(), linear, stored["code"], mean, divisor, configuration)
        save_atomically({"model": decoder.state_dict(),
                         "configuration": configuration.dictionary()}, state / "decoder.pt")
        model.to(device)
        with torch.no_grad():
            for parameter, value in zip(parameters, own):
                parameter.copy_(value)

    run = torch.compile(loss_of) if k.compile else loss_of
    generator = np.random.default_rng(step)
    begin, end = time.time(), deadline(k.until)
    saved = reported = time.time()
    interrupt, losses, since = Interrupt(), [], step
    print(f"linear map: held out {psnr(is_held):.2f} dB" if step == 0 else f"at {step}", flush=True)
    while not interrupt and time.time() < end:
        factor = rate_factor(step, 100, (time.time() - begin) / (end - begin), 0.6)
        for optimizer, rate in zip(optimizers, rates):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        chosen = torch.from_numpy(generator.integers(len(x_train), size=k.batch))
        xs, cs = x_train[chosen].float().to(device), c_train[chosen].float().to(device)
        if len(drawn):
            part = torch.from_numpy(generator.integers(len(drawn), size=k.batch // 2))
            xs[:len(part)], cs[:len(part)] = drawn[part].float(), c[drawn_rows[part]].float()
        scale = k.noise * torch.rand(k.batch, 1, 1, device=device)
        loss = run(xs, cs, scale * torch.randn_like(xs))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        ema.update(parameters)
        losses.append(loss.item())
        step += 1
        now = time.time()
        if now - reported > 20:
            print(f"{step} loss {np.mean(losses):.3f} "
                  f"{(step - since) * k.batch / (now - reported):.1f} pictures/s", flush=True)
            losses, since, reported = [], step, now
        if now - saved > 150:
            save()
            saved = time.time()
    save()


if __name__ == "__main__":
    main()

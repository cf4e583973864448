"""Inputs and outputs of every stage, for the engine's tests.

    python -m banana_training.export_goldens tiny --out Tests/Fixtures/goldens/tiny
    python -m banana_training.export_goldens quantization --out Tests/Fixtures/goldens/quantization
    python -m banana_training.export_goldens folding --out Tests/Fixtures/goldens/folding
    python -m banana_training.export_goldens sticker --package models/sticker \
        --out Tests/Fixtures/goldens/sticker

`tiny` also writes a small package with random weights, all f32. Everything is computed in f32
from the values that the stored weights stand for.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch

from .autoencoder import Encoder, EncoderConfiguration
from .captions import encode, prompt
from .decoder import Decoder, DecoderConfiguration
from .denoiser import Denoiser, DenoiserConfiguration
from .export import (configuration, manifest_of, plain_storage, stored_module, text_section,
                     write_package)
from .formats import save_safetensors
from .matting import matted
from .package import load_package
from .folding import fold, unfold
from .quantization import QuantizedLinear, quantized_tokens
from .sampling import consistency_sample, noise_for, sample
from .text_encoder import TextEncoder, TextEncoderConfiguration

CASES = ["", "a red apple", "Dog face!", "woman pilot: medium-dark skin tone", "Ünïcödé",
         "rocket, space & stars (2)", "keycap: #", "漢字", "the quick brown fox " * 12]
WORDS = """3d color flat sticker of a an the red apple dog face rocket woman man pilot cat heart
house bicycle space star stars blue green yellow pizza grinning smile flag hand tone skin dark
light medium key cap and with in on quick brown fox moon sun tree fish bird car ball""".split()
PIECES = ["s", "es", "ing", "ed", "er", "ly", "cap", "ball", "light", "face"]


def tiny_vocabulary():
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789")
    marks = list("!\"#$%&'()*+,-./:;?@[]_")
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + marks + letters
    tokens += ["##" + c for c in letters] + ["##" + p for p in PIECES] + WORDS
    return list(dict.fromkeys(tokens))


@torch.no_grad()
def randomised(module, generator):
    """Random parameters of sensible size: norm weights near 1, matrices by their fan-in."""
    for name, p in module.named_parameters():
        values = torch.randn(p.shape, generator=generator)
        if p.ndim == 1 and "norm" in name and not name.endswith("bias"):
            p.copy_(1 + 0.1 * values)
        elif p.ndim == 1 or name.endswith("modulation"):
            p.copy_(0.1 * values)
        else:
            p.copy_(values * p[0].numel() ** -0.5)
    return module.eval().requires_grad_(False)


def write_tiny_package(folder):
    generator = torch.Generator().manual_seed(1)
    vocabulary = tiny_vocabulary()
    text = TextEncoderConfiguration(len(vocabulary), 48, 2, 4, 96, 64)
    denoiser = DenoiserConfiguration(8, 4, 4, 64, 2, 4, 2, 80, 48, sigma_channels=32)
    decoder = DecoderConfiguration(8, 16, 4, 4, 32, 2, 4, 2, 48)
    encoder = EncoderConfiguration(8, 4, 4, (8, 12, 16), (1, 1, 2))
    modules = {"text_encoder": randomised(TextEncoder(text), generator),
               "denoiser": randomised(Denoiser(denoiser), generator),
               "decoder": randomised(Decoder(decoder), generator),
               "encoder": randomised(Encoder(encoder), generator)}
    modules["decoder"].linear_out.weight.mul_(0.15)
    modules["decoder"].linear_out.bias.add_(0.25)
    modules["decoder"].head.weight.mul_(0.1)
    stored = {name: stored_module(name, module.state_dict(), plain_storage)
              for name, module in modules.items()}
    mean = 0.3 * torch.randn(8, generator=generator)
    spread = 0.5 + torch.rand(8, generator=generator)
    manifest = manifest_of(
        "tiny", "0.1.0", "Random weights for tests.", [], {"data": "none"},
        configuration(text, denoiser, decoder, encoder) | {
            "text": text_section(64),
            "latents": {"mean": mean.tolist(), "standardDeviation": spread.tolist()},
            "sampling": {"steps": 4, "guidance": 2.5, "sigmaShift": 3.0}, "sizes": [32, 64]},
        {})
    write_package(folder, stored, vocabulary, manifest)


def test_picture(side):
    """[1, 4, side, side]: pixel[y, x, c] = ((7·y + 13·x + 31·c) mod 64) / 63."""
    y, x, c = np.mgrid[:side, :side, :4]
    values = ((7 * y + 13 * x + 31 * c) % 64 / 63).astype(np.float32)
    return torch.from_numpy(values).permute(2, 0, 1)[None]


def channels_last(x):
    return x[0].permute(1, 2, 0)


@torch.no_grad()
def goldens(package, whole, text="a red apple", style="3d", seed=7, steps=4, guidance=2.5,
            sigma=0.8):
    """The description and all arrays; only samples of the large ones unless `whole`."""
    manifest, modules, tokenizer = load_package(package)
    found, full = {}, prompt(style, text)
    tokens = tokenizer(full)
    for i, case in enumerate(CASES):
        found[f"text.cases.{i}.tokens"] = torch.tensor(tokenizer(case), dtype=torch.int32)
    ids, mask = torch.tensor([tokens]), torch.ones(1, len(tokens), dtype=torch.bool)
    taps = {}
    hidden, pooled = modules["text_encoder"](ids, mask, taps)
    layers = modules["text_encoder"].configuration.layers
    found["text.tokens"] = ids[0].int()
    found["text.embedding"] = taps["text.embedding"][0]
    for i in range(layers) if whole else [layers - 1]:
        found[f"text.layers.{i}"] = taps[f"text.layers.{i}"][0]
    found["text.pooled"] = pooled[0]

    denoiser, taps = modules["denoiser"], {}
    k = denoiser.configuration
    noise = noise_for(seed, k.latent_height * k.latent_width, k.latent_channels)
    clean = denoiser(noise, torch.tensor([sigma]), hidden, pooled, mask, taps)
    found["denoiser.noise"], found["denoiser.clean"] = noise[0], clean[0]
    kept = range(k.layers) if whole else [0, k.layers // 2, k.layers - 1]
    for name in ("condition", "modulation", "input", *(f"layers.{i}" for i in kept)):
        found[f"denoiser.{name}"] = taps[f"denoiser.{name}"][0]
    if whole:
        found["denoiser.text_kv"] = taps["denoiser.text_kv"][0].flatten(1)

    c = manifest["configuration"]
    shift = c["sampling"]["sigmaShift"]
    if c["sampling"].get("sampler") == "consistency":
        guidance = 1.0
        latents = consistency_sample(denoiser, noise, (hidden, pooled, mask), steps, shift, [seed])
    else:
        empty_hidden, empty_pooled, _ = encode(modules["text_encoder"], [tokenizer("")])
        latents = sample(denoiser, noise, (hidden, pooled, mask),
                         (empty_hidden[0], empty_pooled), steps, guidance, shift)
    scaling = c["latents"]
    z = latents * torch.tensor(scaling["standardDeviation"]) + torch.tensor(scaling["mean"])
    taps = {}
    picture = modules["decoder"](z, taps)
    found["sample.latents"] = latents[0]
    found["sample.z"] = z.reshape(k.latent_height, k.latent_width, -1)
    kept = modules["decoder"].configuration.layers
    for i in range(kept) if whole else [0, kept - 1]:
        found[f"decoder.layers.{i}"] = taps[f"decoder.layers.{i}"][0]
    if whole:
        found["decoder.picture"] = channels_last(picture)
        found["sample.picture"] = channels_last(picture).clamp(0, 1)
    else:
        found["decoder.picture"] = channels_last(picture)[::4, ::4]
        half = channels_last(torch.nn.functional.avg_pool2d(
            matted(picture, c.get("alphaRange", (0, 1))), 2))
        found["sample.picture256"] = (half * 255 + 0.5).floor().to(torch.uint8)
    taps = {}
    found["encoder.latents"] = channels_last(
        modules["encoder"](test_picture(max(c["sizes"])), taps))
    if whole:
        for name, tap in taps.items():
            found[name] = channels_last(tap)
    about = {"prompt": text, "style": style, "text": full, "seed": seed, "steps": steps,
             "guidance": guidance, "sigma": sigma, "cases": CASES}
    return about, {name: tensor.contiguous().numpy() for name, tensor in found.items()}


@torch.no_grad()
def write_quantization_goldens(folder):
    """Weights and inputs of quantized linears, and what training computes with them.

    The rows of x hold a tie between two integers, zeros, and numbers near zero among others.
    """
    torch.manual_seed(3)
    x = torch.randn(9, 96)
    x[1, :4] = torch.tensor([127.0, 0.5, 1.5, -2.5])
    x[2], x[3] = 0, 1e-42
    x[4] *= 1e4
    weights, found = {}, {"x": x}
    q, row_scale = quantized_tokens(x)
    for bits in (4, 8):
        linear = QuantizedLinear(torch.nn.Linear(96, 40, bias=False), bits)
        linear.gain.uniform_(-0.2, 0.2)
        weights |= linear.stored(f"w{bits}")
        found[f"y{bits}"] = linear(x)
        if bits == 8:
            integers, scale = linear.quantized()
            found["sums"] = (q @ integers.reshape(40, 96).t()).int()
            found["scales"] = row_scale * scale[:, 0]
    save_safetensors(weights, folder / "weights.safetensors")
    return {name: tensor.contiguous().numpy() for name, tensor in found.items()}


def write_folding_goldens():
    """Pictures and what `folding` makes of them, channels last."""
    torch.manual_seed(5)
    x = torch.randn(2, 4, 16, 24)
    found = {"x": x, "folded": fold(x, 8, 4), "narrow": fold(x, 8, 3), "unfolded": unfold(x, 8, 4)}
    return {name: tensor.permute(0, 2, 3, 1).contiguous().numpy()
            for name, tensor in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["tiny", "sticker", "quantization", "folding"])
    parser.add_argument("--package")
    parser.add_argument("--out", required=True)
    k = parser.parse_args()
    torch.set_num_threads(1)
    out = Path(k.out)
    out.mkdir(parents=True, exist_ok=True)
    if k.kind == "folding":
        return save_safetensors(write_folding_goldens(), out / "goldens.safetensors")
    if k.kind == "quantization":
        return save_safetensors(write_quantization_goldens(out), out / "goldens.safetensors")
    tiny = k.kind == "tiny"
    if tiny:
        write_tiny_package(out)
    about, arrays = goldens(out if tiny else k.package, whole=tiny)
    (out / "goldens.json").write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n")
    save_safetensors(arrays, out / "goldens.safetensors")
    size = sum(a.nbytes for a in arrays.values())
    print(f"{len(arrays)} arrays, {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

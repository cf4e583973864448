"""A contact sheet of fixed prompts in every style from the averaged weights.

    python -m banana_training.sheet --state STATE --out sheet.png
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .captions import encode, prompt
from .data import STYLES
from .decoder import Decoder, DecoderConfiguration
from .denoiser import Denoiser, DenoiserConfiguration
from .quantization import bits_of, quantize
from .sampling import SHIFT, consistency_sample, noise_for, sample
from .text_encoder import minilm_folder, shipped_minilm
from .wordpiece import WordPiece

PROMPTS = ["a red apple", "dog face", "a rocket", "woman pilot", "pizza", "a cat", "grinning face",
           "red heart", "a house", "bicycle"]


def averaged_denoiser(state, file="denoiser.pt"):
    """The denoiser of a checkpoint with averaged parameters, and the checkpoint.

    quantized.pt comes with its quantized linears.
    """
    stored = torch.load(Path(state) / file, map_location="cpu", weights_only=True)
    model = Denoiser(DenoiserConfiguration(**stored["configuration"]))
    quantize(model, bits_of(stored["model"]))
    model.load_state_dict(stored["model"])
    with torch.no_grad():
        parameters = dict(model.named_parameters())
        for name, average in zip(stored["names"], stored["ema"]["average"]):
            parameters[name].copy_(average)
    return model.eval().requires_grad_(False), stored


def trained_decoder(state):
    """The decoder of STATE/decoder.pt."""
    stored = torch.load(Path(state) / "decoder.pt", weights_only=True)
    decoder = Decoder(DecoderConfiguration(**stored["configuration"]))
    decoder.load_state_dict(stored["model"])
    return decoder.eval().requires_grad_(False)


def text_batch(encoder, tokenizer, texts):
    """hidden, pooled, mask of texts, and hidden and pooled of the empty prompt."""
    hidden, pooled, lengths = encode(encoder, [tokenizer(t) for t in texts])
    mask = torch.arange(hidden.shape[1]) < torch.tensor(lengths)[:, None]
    empty_hidden, empty_pooled, _ = encode(encoder, [tokenizer("")])
    return (hidden, pooled, mask), (empty_hidden[0], empty_pooled)


def on_chequers(pixels):
    """[h, w, 3] bytes of premultiplied [h, w, 4] floats over a light chequered ground."""
    h, w, _ = pixels.shape
    y, x = np.mgrid[:h, :w] // 16
    ground = np.where((y + x) % 2 == 0, 1.0, 0.92)[..., None]
    shown = pixels[..., :3] + ground * (1 - pixels[..., 3:])
    return (shown.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--prompts", help="comma-separated, instead of the fixed ones")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=1.75)
    parser.add_argument("--file", default="denoiser.pt",
                        help="checkpoint; all but denoiser.pt are students, without guidance")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    prompts = [p.strip() for p in k.prompts.split(",")] if k.prompts else PROMPTS
    encoder = shipped_minilm(k.state)
    tokenizer = WordPiece(minilm_folder() / "vocab.txt")
    denoiser, stored = averaged_denoiser(k.state, k.file)
    decoder = trained_decoder(k.state)
    configuration = denoiser.configuration
    side, rows = configuration.latent_height, []
    for style in STYLES:
        text, empty = text_batch(encoder, tokenizer, [prompt(style, p) for p in prompts])
        noise = torch.cat([noise_for(k.seed + i, side * side, configuration.latent_channels)
                           for i in range(len(prompts))])
        with torch.no_grad():
            if k.file == "denoiser.pt":
                x = sample(denoiser, noise, text, empty, k.steps, k.guidance)
            else:
                seeds = range(k.seed, k.seed + len(prompts))
                x = consistency_sample(denoiser, noise, text, k.steps, SHIFT, seeds)
            z = x * stored["divisor"] + stored["mean"]
            pixels = decoder(z).clamp(0, 1)
        pixels = torch.nn.functional.avg_pool2d(pixels.float(), 4)
        rows.append(np.concatenate([on_chequers(p.permute(1, 2, 0).numpy()) for p in pixels], 1))
    Image.fromarray(np.concatenate(rows)).save(k.out)
    print(f"step {stored['step']}, {stored['seen']} pictures seen")


if __name__ == "__main__":
    main()

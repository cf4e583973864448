"""Compares variants of the denoiser in PyTorch: steps, quantization, pruning.

    python -m banana_training.variants --data stickers.tar.xz --state STATE --out variants.json

All are measured on the same captions and seeds: retrieval, and for quantized ones the PSNR of
their pictures to those of the f32 student. Arithmetic is that of the kernels where quantized.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from . import formats
from .captions import prompt
from .data import Pictures
from .drawing import Drawing, averaged_denoiser
from .evaluate import UNSEEN, Gallery, chosen
from .quantization import QuantizedLinear, quantizable, quantize, stored_denoiser
from .retrieval import thumbnails
from .trainer import save_json


class Bench:
    """Captions, text encoder and decoder, used for every variant alike."""

    def __init__(self, k):
        self.pictures = Pictures(k.data, k.state)
        self.gallery = Gallery(self.pictures, k.state)
        self.drawing, self.k = Drawing(k.state), k
        unseen = [p for kind in UNSEEN for p in chosen(self.pictures, kind, k.captions // 3)]
        self.captions = {"seen": chosen(self.pictures, "seen", k.captions), "unseen": unseen}

    def pictures_of(self, denoiser, stored, captions, steps, guidance):
        """[n, 4, 256, 256] pictures, one seed each; guidance 1 is a student."""
        return self.drawing.pictures(denoiser, stored, [prompt(p.style, p.name) for p in captions],
                                     range(1, 1 + len(captions)), steps, guidance)

    def figures(self, denoiser, stored, steps, guidance=1, reference=None):
        """Retrieval seen and unseen, and the pictures; PSNR to `reference` if given."""
        drawn, found = {}, {}
        for kind, captions in self.captions.items():
            drawn[kind] = self.pictures_of(denoiser, stored, captions, steps, guidance)
            small = thumbnails(drawn[kind])
            at1, at5 = self.gallery.scores(list(zip(captions, small)))
            found[kind] = {"retrieval@1": round(100 * at1, 1), "retrieval@5": round(100 * at5, 1)}
        if reference:
            error = [(drawn[kind] - reference[kind]).square().mean((1, 2, 3)) for kind in drawn]
            found["psnr"] = round(float(-10 * torch.cat(error).log10().mean()), 2)
        return found, drawn


def plainly_rounded(model, bits):
    """The model with every quantizable weight rounded to the nearest at the largest's scale."""
    quantize(model, {name: bits for name in quantizable(model)})
    for module in model.modules():
        if isinstance(module, QuantizedLinear):
            matrix = module.weight.detach().numpy()
            if bits == 4:
                scale = formats.int4_groups(matrix, tries=1)[1].astype(np.float32)
            else:
                scale = formats.quantized_rows(matrix, 127)[1][:, None]
            module.scale.copy_(torch.from_numpy(scale))
    return model


def operations(model, steps, guided, text_tokens=16):
    """Giga-operations (a multiply-add is two) of the matrix products of one picture's steps."""
    k = model.configuration
    n = k.latent_height * k.latent_width
    layer = k.width * (2 * k.width + 2 * k.key_value_width + 3 * k.hidden_width)
    attention = 2 * (n + text_tokens) * k.width
    products = n * (k.layers * (layer + attention) + 2 * k.latent_channels * k.width)
    context = text_tokens * k.text_width * k.layers * 2 * k.key_value_width
    return round((1 + guided) * 2 * (steps * products + context) / 1e9, 2)


def byte_count(model):
    return sum(a.nbytes for a in stored_denoiser(model).values())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--captions", type=int, default=150, help="seen, and as many unseen")
    parser.add_argument("--teacher-steps", type=int, default=32)
    parser.add_argument("--guidance", type=float, default=1.75)
    parser.add_argument("--threads", type=int, default=1)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    bench, result = Bench(k), {}

    def measure(name, model, stored, steps, **more):
        found, drawn = bench.figures(model, stored, steps, **more)
        guided = more.get("guidance", 1) != 1
        result[name] = found | {"steps": steps, "bytes": byte_count(model),
                                "gop": operations(model, steps, guided)}
        print(name, result[name], flush=True)
        save_json(result, k.out)
        return drawn

    def fresh(file):
        return averaged_denoiser(k.state, file)

    measure("teacher, guided", *fresh("denoiser.pt"), k.teacher_steps, guidance=k.guidance)
    measure("teacher, guided, 8 steps", *fresh("denoiser.pt"), 8, guidance=k.guidance)
    for steps in (1, 2, 4):
        measure(f"teacher without distillation, {steps} steps", *fresh("denoiser.pt"), steps)
        drawn = measure(f"student f32, {steps} steps", *fresh("student.pt"), steps)
        if steps == 2:
            reference = drawn
    for bits in (8, 4):
        model, stored = fresh("student.pt")
        measure(f"plain int{bits}", plainly_rounded(model, bits), stored, 2, reference=reference)
    for steps in (1, 2, 4):
        measure(f"DQAT, {steps} steps", *fresh("quantized.pt"), steps,
                reference=reference if steps == 2 else None)
    if (Path(k.state) / "pruned.pt").exists():
        measure("pruned f32", *fresh("pruned.pt"), 2, reference=reference)


if __name__ == "__main__":
    main()

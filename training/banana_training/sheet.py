"""A contact sheet of fixed prompts from the averaged weights of a checkpoint.

    python -m banana_training.sheet --state STATE --out sheet.png
    python -m banana_training.sheet --state STATE --data stickers.tar.xz --composed 12 \\
        --out sheet.png

The second form draws compositions of the validation split, each below its true picture.
"""

import argparse

import numpy as np
import torch
from PIL import Image, ImageDraw

from .captions import prompt
from .data import STYLES
from .drawing import Drawing, averaged_denoiser

PROMPTS = ["a red apple", "a blue elephant wearing a hat", "two dogs playing", "a robot cat",
           "green dragon", "a bearded man", "dog face", "a rocket",
           "a woman pilot with dark skin tone", "pizza", "a house", "bicycle"]
SIDE = 128


def on_chequers(pixels):
    """[h, w, 3] bytes of premultiplied [h, w, 4] floats over a light chequered ground."""
    h, w, _ = pixels.shape
    y, x = np.mgrid[:h, :w] // 16
    ground = np.where((y + x) % 2 == 0, 1.0, 0.92)[..., None]
    shown = pixels[..., :3] + ground * (1 - pixels[..., 3:])
    return (shown.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def row_of(pixels):
    """[128, n · 128, 3] bytes of pictures [n, 4, h, w] side by side."""
    small = torch.nn.functional.adaptive_avg_pool2d(pixels.float(), SIDE)
    return np.concatenate([on_chequers(p.permute(1, 2, 0).numpy()) for p in small], 1)


def captioned(texts, width=SIDE, height=24):
    """[height, n · 128, 3] bytes with texts, broken into two lines."""
    image = Image.new("RGB", (width * len(texts), height), "white")
    draw = ImageDraw.Draw(image)
    for i, text in enumerate(texts):
        words, lines = text.split(), [""]
        for word in words:
            if len(lines[-1]) + len(word) > 20:
                lines.append("")
            lines[-1] += word + " "
        draw.multiline_text((i * width + 2, 0), "\n".join(lines[:2]), fill="black", spacing=0)
    return np.asarray(image)


def validation_compositions(data, state, count):
    """Compositions that are held out, and their true pictures [n, 4, 256, 256]."""
    from .composed import drawn_compositions
    from .compositions import Things, composed_picture
    from .data import Pictures
    things = Things(Pictures(data, state))
    found = drawn_compositions(things, count, np.random.default_rng(0), held_out=True)
    pixels = np.stack([composed_picture(c, things) for c in found])
    return found, torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--prompts", help="semicolon-separated, instead of the fixed ones")
    parser.add_argument("--composed", type=int, default=0, help="so many held-out compositions")
    parser.add_argument("--data", help="of compositions")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--guidance", type=float, default=1.75)
    parser.add_argument("--file", default="denoiser.pt",
                        help="checkpoint; all but denoiser.pt are students, without guidance")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    prompts = [p.strip() for p in k.prompts.split(";")] if k.prompts else PROMPTS
    denoiser, stored = averaged_denoiser(k.state, k.file)
    drawing, rows = Drawing(k.state), []
    guidance = k.guidance if k.file == "denoiser.pt" else 1

    def drawn(texts):
        return row_of(drawing.pictures(denoiser, stored, texts, range(k.seed, k.seed + len(texts)),
                                       k.steps, guidance))

    if k.composed:
        found, truth = validation_compositions(k.data, k.state, k.composed)
        for i in range(0, len(found), 12):
            some = found[i:i + 12]
            rows += [captioned([f"{c['caption']} ({c['style']})" for c in some]),
                     row_of(truth[i:i + 12]),
                     drawn([prompt(c["style"], c["caption"]) for c in some])]
    else:
        rows = [captioned(prompts)] + [drawn([prompt(s, p) for p in prompts]) for s in STYLES]
    wide = max(row.shape[1] for row in rows)
    rows = [np.pad(row, ((0, 0), (0, wide - row.shape[1]), (0, 0)), constant_values=255)
            for row in rows]
    Image.fromarray(np.concatenate(rows)).save(k.out)
    print(f"step {stored['step']}, {stored['seen']} pictures seen")


if __name__ == "__main__":
    main()

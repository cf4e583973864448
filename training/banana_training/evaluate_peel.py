"""Measures a peel against its own pictures and draws its before/after sheet.

    python -m banana_training.evaluate_peel --base ../models/sticker \
        --peel ../peels/pixel-art.safetensors --pictures FOLDER --sheet ../docs/peels/pixel-art.png

Each caption, seen or held out, is drawn in the model's default style (or in the one that its line
asks for); retrieval is against all
pictures of the folder.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont

from .base import Base
from .lora import attach_peel
from .peel_folder import captioned_pictures, pixels_of
from .retrieval import retrieval, thumbnails

CELL = 112
LABEL = 14


def spread(items, count):
    """At most `count` items, evenly spaced."""
    if len(items) <= count:
        return list(items)
    return [items[i * len(items) // count] for i in range(count)]


def read_pictures(folder, pictures, side):
    """Premultiplied RGBA [n, 4, side, side] in 0...1."""
    read = np.stack([pixels_of(Path(folder) / p.file, side) for p in pictures])
    return torch.from_numpy(read).permute(0, 3, 1, 2).float() / 255


def gallery_of(folder, pictures, side):
    """[picture, 32, 32, 3] thumbnails of the pictures."""
    parts = []
    for i in range(0, len(pictures), 64):
        parts.append(thumbnails(read_pictures(folder, pictures[i:i + 64], side)))
    return torch.cat(parts)


def drawing(base, steps=None):
    """draw(pictures, seeds) to premultiplied RGBA [n, 4, h, w] of the pictures' captions.

    They are drawn in the style that a picture is asked for in, else the model's default one.
    """
    return lambda pictures, seeds: base.draw(
        [base.text(p.style or base.default_style, p.name) for p in pictures], seeds, steps)


def measured(draw, rows, pictures, gallery, seeds, folder):
    """Retrieval of those rows of the pictures, each drawn with every seed, and their PSNR.

    PSNR is in dB to the folder's own pictures (premultiplied RGBA): it sees what the 32×32 of
    retrieval do not, pixel art for one.
    """
    rows = [row for row in rows for _ in seeds]
    asked = [pictures[row] for row in rows]
    drawn = draw(asked, list(seeds) * (len(rows) // len(seeds)))
    at1, at5 = retrieval(thumbnails(drawn), rows, gallery)
    error = (drawn - read_pictures(folder, asked, drawn.shape[-1])).square().mean((1, 2, 3))
    psnr = -10 * torch.log10(error.clamp(min=1e-9)).mean().item()
    return {"retrieval@1": round(100 * at1, 1), "retrieval@5": round(100 * at5, 1),
            "psnr": round(psnr, 2), "pictures": len(rows)}


def evaluate_peel(draw_without, draw_with, folder, side, count=100, seeds=(1,)):
    """Retrieval against all pictures of a folder, in percent, and PSNR.

    The two functions draw captions without and with the peel (see `drawing`); pictures are read at
    `side` pixels. At most `count` captions of each kind are drawn, with each of the seeds.
    """
    pictures = captioned_pictures(folder)
    gallery = gallery_of(folder, pictures, side)
    seen = spread([i for i, p in enumerate(pictures) if not p.held_out], count)
    held_out = spread([i for i, p in enumerate(pictures) if p.held_out], count)
    result = {"without": measured(draw_without, seen, pictures, gallery, seeds, folder),
              "seen": measured(draw_with, seen, pictures, gallery, seeds, folder)}
    if held_out:
        result["held out"] = measured(draw_with, held_out, pictures, gallery, seeds, folder)
    return result


def attached_drawing(base, peel, strength=1.0, steps=None):
    """As `drawing`, with a peel's file on the base while it draws."""
    def draw(pictures, seeds):
        attached, _ = attach_peel(base.denoiser, peel, strength)
        try:
            return drawing(base, steps)(pictures, seeds)
        finally:
            attached.detach()
    return draw


def cells(pixels):
    """Bytes [n, CELL, CELL, 3] on white of premultiplied [n, 4, h, w]."""
    small = torch.nn.functional.interpolate(pixels, size=(CELL, CELL), mode="area")
    white = (small[:, :3] + 1 - small[:, 3:]).clamp(0, 1)
    return (white * 255 + 0.5).to(torch.uint8).permute(0, 2, 3, 1).numpy()


def sheet(draw_without, draw_with, folder, out, columns=10, seed=7):
    """Before, after and the folder's own picture for seen captions, then for held-out ones."""
    pictures = captioned_pictures(folder)
    blocks = []
    for held_out in (False, True):
        chosen = spread([p for p in pictures if p.held_out == held_out], columns)
        if not chosen:
            continue
        seeds = [seed] * len(chosen)
        before, after = draw_without(chosen, seeds), draw_with(chosen, seeds)
        own = read_pictures(folder, chosen, 256)
        block = np.concatenate([np.concatenate(list(cells(row)), 1)
                                for row in (before, after, own)])
        labelled = Image.new("RGB", (CELL * columns, len(block) + LABEL), "white")
        labelled.paste(Image.fromarray(block), (0, LABEL))
        draw, font = ImageDraw.Draw(labelled), ImageFont.load_default(10)
        for i, p in enumerate(chosen):
            draw.text((i * CELL + 2, 1), p.name[:20], "black", font)
        blocks.append(np.asarray(labelled))
    out = Path(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    whole = Image.fromarray(np.concatenate(blocks))
    whole.quantize(256, dither=Image.Dither.NONE).save(out, optimize=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="the model package")
    parser.add_argument("--peel", required=True)
    parser.add_argument("--pictures", required=True, help="the folder that it was trained on")
    parser.add_argument("--sheet", help="where to write the before/after sheet")
    parser.add_argument("--count", type=int, default=100, help="captions of each kind; 0: none")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, help="else as many as the model says")
    parser.add_argument("--strength", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=1)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    base = Base(k.base)
    without, peeled = drawing(base, k.steps), attached_drawing(base, k.peel, k.strength, k.steps)
    if k.sheet:
        sheet(without, peeled, k.pictures, k.sheet)
    if k.count:
        print(json.dumps(evaluate_peel(without, peeled, k.pictures, base.native_size // 2,
                                       k.count, range(1, 1 + k.seeds))))


if __name__ == "__main__":
    main()

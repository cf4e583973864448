"""Draws prompts in every style through a running daemon and lays them out on one sheet.

    banana status && python training/contact_sheet.py --banana .build/release/banana \
        --out docs/contact-sheet.png "red apple" "dog face" …
"""

import argparse
import io
import subprocess
import tempfile
from pathlib import Path

from PIL import Image

STYLES = ["3d", "color", "flat"]


def draw(banana, prompt, style, seed):
    """The picture that the command draws, over white."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "picture.png"
        subprocess.run([banana, "generate", prompt, "--style", style, "--seed", str(seed),
                        "--output", path, "--json"], check=True, stdout=subprocess.DEVNULL)
        picture = Image.open(io.BytesIO(path.read_bytes())).convert("RGBA")
    flat = Image.new("RGB", picture.size, "white")
    flat.paste(picture, mask=picture)
    return flat


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--banana", default="banana")
    parser.add_argument("--out", required=True)
    parser.add_argument("--side", type=int, default=128, help="pixels of a cell")
    parser.add_argument("--columns", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("prompts", nargs="+")
    k = parser.parse_args()
    rows = [k.prompts[i:i + k.columns] for i in range(0, len(k.prompts), k.columns)]
    sheet = Image.new("RGB", (k.columns * k.side, len(rows) * len(STYLES) * k.side), "white")
    for r, row in enumerate(rows):
        for s, style in enumerate(STYLES):
            for column, prompt in enumerate(row):
                cell = draw(k.banana, prompt, style, k.seed).resize((k.side, k.side), Image.LANCZOS)
                sheet.paste(cell, (column * k.side, (r * len(STYLES) + s) * k.side))
    sheet.quantize(256, dither=Image.Dither.NONE).save(k.out, optimize=True)


if __name__ == "__main__":
    main()

"""Noto Color Emoji as a further style: a set that training draws from beside the composed ones.

    python -m banana_training.noto_style --data stickers.tar.xz --state STATE --set 101

The font is Debian's fonts-noto-color-emoji (pictures Apache-2.0, font OFL-1.1); names are those of
the data's pictures of the same code points. A picture stands in the set once for each caption.
"""

import argparse
from pathlib import Path

import numpy as np
import torch

from .captions import prompt, variations
from .composed_sets import make_set
from .compositions import cropped, fitted, put
from .data import SIZE, Pictures, premultiplied
from .linear_code import loaded_code
from .peel_data import EmojiFont

STYLE = "noto"
FONT = "/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"


def squared(pixels):
    """Premultiplied bytes, cropped and fitted into [256, 256, 4]."""
    inside = fitted(cropped(pixels), SIZE - 8, SIZE - 8)
    canvas = np.zeros((SIZE, SIZE, 4), np.uint8)
    put(canvas, inside, (SIZE - inside.shape[0]) / 2, (SIZE - inside.shape[1]) / 2)
    return canvas


def noto(pictures, font):
    """(picture, pixels) of the font; what the split holds out in every style is left out."""
    for p in pictures.by_style["3d"]:
        if p.toned or p.validation == "gender":
            continue
        image = font.picture([int(c, 16) for c in Path(p.file).stem.split("-")])
        if image is not None:
            yield p, squared(premultiplied(image))


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--set", type=int, required=True)
    parser.add_argument("--font", default=FONT)
    parser.add_argument("--threads", type=int, default=1)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    code, coordinates, captions, examples = loaded_code(k.state), [], [], []
    for p, pixels in noto(Pictures(k.data, k.state), EmojiFont(k.font)):
        x = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
        texts = sorted(set(variations(p)))
        coordinates += [code.coordinates(x).half().numpy()] * len(texts)
        captions += [prompt(STYLE, text) for text in texts]
        examples += [{"style": STYLE, "file": p.file, "caption": text} for text in texts]
    make_set(k.state, k.set, np.concatenate(coordinates), captions, examples)
    print(f"{len(captions)} examples", flush=True)


if __name__ == "__main__":
    main()

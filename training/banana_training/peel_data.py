"""Folders of captioned pictures for the peels that ship.

    python -m banana_training.peel_data high-contrast --data stickers.tar.xz --out FOLDER
    python -m banana_training.peel_data pixel-art --data stickers.tar.xz --out FOLDER
    python -m banana_training.peel_data noto --data stickers.tar.xz --out FOLDER \
        --font /usr/share/fonts/truetype/noto/NotoColorEmoji.ttf

`--data` takes the tar or the folder that it was unpacked to. One name in twenty is held out, to
measure what a peel makes of captions that it has not seen.
"""

import argparse
import io
import json
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .data import TONE, concept_of, digest, premultiplied, rasterised, unpacked
from .trainer import save_json

HELD_OUT_ONE_IN = 20
SIDE = 256
PIXEL_ART_SIDE = 32
PIXEL_ART_COLOURS = 16
MOST_ALIKE = 480
VARIATION_SELECTOR = 0xFE0F


def entries(folder, style):
    """The lines of captions.jsonl of one style, those with a skin tone left out."""
    lines = map(json.loads, (Path(folder) / "captions.jsonl").read_text().splitlines())
    return [entry for entry in lines
            if entry["style"] == style and not TONE.search(entry["name"])]


def straight(pixels):
    """A PIL picture of [h, w, 4] premultiplied bytes."""
    wide = pixels.astype(np.float32)
    colour = wide[..., :3] * 255 / np.maximum(wide[..., 3:], 1)
    return Image.fromarray(np.concatenate(
        [np.minimum(colour + 0.5, 255).astype(np.uint8), pixels[..., 3:]], -1))


def laid_out_alike(pairs, channels):
    """The entries and pictures that look most like the base's own 3d ones of the same name.

    pairs: (entry, file of the 3d picture, PIL picture); channels: of the premultiplied 32×32 that
    are compared. Where two pictures of a name show different things, minutes of training give a
    blur instead of a style.
    """
    found = []
    for entry, own, picture in pairs:
        both = np.stack([rasterised(own, SIDE), premultiplied(picture.resize((SIDE, SIDE)))])
        ours, theirs = F.adaptive_avg_pool2d(
            torch.from_numpy(both).permute(0, 3, 1, 2)[:, channels] / 255, 32)
        found.append(((ours - theirs).square().mean().item(), entry, picture))
    found.sort(key=lambda item: item[0])
    for _, entry, picture in found[:MOST_ALIKE]:
        yield entry, picture


def high_contrast(folder, k):
    """The fourth style of the data, drawings in one colour, where outlines are the base's."""
    own = {entry["name"]: Path(folder) / entry["file"] for entry in entries(folder, "3d")}
    return laid_out_alike(
        ((entry, own[entry["name"]], straight(rasterised(Path(folder) / entry["file"], SIDE)))
         for entry in entries(folder, "high-contrast") if entry["name"] in own), [3])


def pixelated(pixels):
    """[256, 256, 4] premultiplied bytes as pixel art: 32×32, few colours, hard alpha."""
    factor = len(pixels) // PIXEL_ART_SIDE
    blocks = pixels.reshape(PIXEL_ART_SIDE, factor, PIXEL_ART_SIDE, factor, 4)
    small = blocks.astype(np.float32).mean((1, 3))
    opaque = small[..., 3] >= 127.5
    colours = (small[..., :3] * 255 / np.maximum(small[..., 3:], 1)).clip(0, 255)
    result = np.zeros((PIXEL_ART_SIDE, PIXEL_ART_SIDE, 4), np.uint8)
    if opaque.any():
        row = Image.fromarray(colours[opaque][None].astype(np.uint8))
        reduced = row.quantize(PIXEL_ART_COLOURS, Image.Quantize.MEDIANCUT,
                               dither=Image.Dither.NONE).convert("RGB")
        result[opaque, :3], result[opaque, 3] = np.asarray(reduced)[0], 255
    return Image.fromarray(result.repeat(factor, 0).repeat(factor, 1))


def pixel_art(folder, k):
    """Every concept in one of the styles, half of them in 3d, processed.

    A picture is only asked for in its own style: the base knows what it shows, so that there is
    nothing to learn but the pixels.
    """
    for style, shares in {"3d": (0, 1), "color": (2,), "flat": (3,)}.items():
        for entry in entries(folder, style):
            if digest("pixel art " + concept_of(entry["name"])) % 4 in shares:
                pixels = rasterised(Path(folder) / entry["file"], SIDE)
                yield entry | {"asked": style}, pixelated(pixels)


class EmojiFont:
    """The bitmaps of a colour font (its CBDT table) by code points."""

    def __init__(self, path):
        from fontTools.ttLib import TTFont
        font = TTFont(path)
        self.names, self.bitmaps = font.getBestCmap(), font["CBDT"].strikeData[0]
        self.ligatures = {}
        for lookup in font["GSUB"].table.LookupList.Lookup:
            for table in lookup.SubTable:
                for first, found in getattr(table, "ligatures", {}).items():
                    for ligature in found:
                        self.ligatures[(first, *ligature.Component)] = ligature.LigGlyph

    def picture(self, code_points):
        """The RGBA bitmap of a sequence that is one glyph, or None."""
        bare = [c for c in code_points if c != VARIATION_SELECTOR]
        for points in (code_points, bare):
            glyphs = tuple(self.names.get(c) for c in points)
            glyph = glyphs[0] if len(glyphs) == 1 else self.ligatures.get(glyphs)
            if glyph in self.bitmaps:
                bitmap = self.bitmaps[glyph]
                bitmap.ensureDecompiled()
                return Image.open(io.BytesIO(bitmap.imageData)).convert("RGBA")
        return None


def noto(folder, k):
    """Noto Color Emoji by the names that the data's pictures of the same code points have."""
    def pairs():
        font = EmojiFont(k.font)
        for entry in entries(folder, "3d"):
            picture = font.picture([int(c, 16) for c in Path(entry["file"]).stem.split("-")])
            if picture is not None:
                wide = max(picture.size)
                square = Image.new("RGBA", (wide, wide))
                square.paste(picture, ((wide - picture.width) // 2, (wide - picture.height) // 2))
                yield entry, Path(folder) / entry["file"], square

    return laid_out_alike(pairs(), [0, 1, 2, 3])


FLUENT = "Fluent Emoji by Microsoft (MIT); names from Unicode CLDR 41 (Unicode-DFS-2016)"
PEELS = {
    "high-contrast": (high_contrast, {
        "trigger": "high contrast",
        "description": f"Drawings in one colour. Trained on the fourth style of {FLUENT}."}),
    "noto": (noto, {
        "trigger": "noto emoji",
        "description": "In the manner of Noto Color Emoji. Trained on Noto Color Emoji by Google "
                       "(pictures Apache-2.0, font OFL-1.1); names from Unicode CLDR 41 "
                       "(Unicode-DFS-2016)."}),
    "pixel-art": (pixel_art, {
        "trigger": "pixel art",
        "description": f"Pixel art of 32×32. Trained on processed pictures of {FLUENT}."})}


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peel", choices=PEELS)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--font", default="/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf")
    k = parser.parse_args()
    out = Path(k.out)
    out.mkdir(parents=True, exist_ok=True)
    lines = []
    pictures, about = PEELS[k.peel]
    for entry, picture in pictures(unpacked(k.data, out.parent), k):
        file = Path(entry["file"]).stem + ".png"
        picture.save(out / file)
        held_out = digest("peel " + concept_of(entry["name"])) % HELD_OUT_ONE_IN == 0
        line = {"file": file, "caption": entry["name"], "keywords": entry["keywords"],
                "held_out": held_out}
        lines.append(json.dumps(line | ({"style": entry["asked"]} if "asked" in entry else {})))
    (out / "captions.jsonl").write_text("\n".join(lines) + "\n")
    save_json({"title": k.peel, "license": "Apache-2.0", "author": "Banana"} | about,
              out / "peel.json")
    print(f"{len(lines)} pictures in {out}")


if __name__ == "__main__":
    main()

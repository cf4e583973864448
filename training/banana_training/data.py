"""The pictures and captions, rasterised once into memory-mapped arrays.

    python -m banana_training.data --data stickers.tar.xz --state STATE

`--data` takes the tar or a folder that it was unpacked to. Pictures are kept as premultiplied
RGBA, 8 bits, [picture, 256, 256, 4]: what `3d` is stored at, and all that training looks at.
What is measured at 512 px is rasterised when it is asked for.
"""

import argparse
import hashlib
import io
import json
import re
import tarfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

STYLES = ["3d", "color", "flat"]
SIZE = 256
NATIVE_SIZE = 512
TONE = re.compile(r"(medium-light|medium-dark|light|medium|dark) skin tone")
HELD_OUT_ONE_IN = 40
VALIDATION_ONE_IN = 25
GENDERED = re.compile(r"(man|woman|men|women) (.+)")


def digest(text):
    """A number that stays the same on every machine."""
    return int(hashlib.sha256(text.encode()).hexdigest(), 16)


@dataclass(frozen=True)
class Picture:
    """One picture: where its pixels are and what may be said about it."""

    file: str
    name: str
    keywords: tuple
    style: str
    row: int
    concept: str
    toned: bool

    @property
    def held_out(self):
        """Kept out of the autoencoder's training, to measure it."""
        return digest(self.concept) % HELD_OUT_ONE_IN == 0

    @property
    def validation(self):
        """Kept out of the denoiser's training as a combination of parts it does see, or None.

        "tone": this person in this skin tone, in no style. "gender": this role as this gender,
        in no tone and no style. "style": this thing in this style only.
        """
        gendered = GENDERED.fullmatch(self.concept.split(":")[0])
        if gendered:
            role = digest("role " + gendered[2])
            if role % VALIDATION_ONE_IN == 0 and \
                    (gendered[1] in ("man", "men")) == (role // VALIDATION_ONE_IN % 2 == 0):
                return "gender"
        if self.toned:
            return "tone" if digest("tone " + self.name) % VALIDATION_ONE_IN == 0 else None
        style = digest("style " + self.concept)
        left_out = STYLES[style // VALIDATION_ONE_IN % len(STYLES)]
        return "style" if style % VALIDATION_ONE_IN == 0 and self.style == left_out else None


def concept_of(name):
    """The name without its skin tones."""
    head, _, tail = name.partition(":")
    parts = [part.strip() for part in tail.split(",")]
    parts = [part for part in parts if part and not TONE.fullmatch(part)]
    return head + (": " + ", ".join(parts) if parts else "")


def unpacked(data, state):
    """The folder with captions.jsonl, unpacking a tar if that was given."""
    data = Path(data)
    if data.is_dir():
        return data
    folder = Path(state) / "unpacked"
    if not (folder / "captions.jsonl").exists():
        with tarfile.open(data) as archive:
            archive.extractall(folder, filter="data")
    return folder


def index(folder):
    """All pictures of the trained styles; within a style those without skin tone come first."""
    lines = (Path(folder) / "captions.jsonl").read_text().splitlines()
    entries = [entry for entry in map(json.loads, lines) if entry["style"] in STYLES]
    entries.sort(key=lambda entry: (STYLES.index(entry["style"]),
                                    bool(TONE.search(entry["name"])), entry["file"]))
    pictures, rows = [], dict.fromkeys(STYLES, 0)
    for entry in entries:
        style = entry["style"]
        pictures.append(Picture(entry["file"], entry["name"], tuple(entry["keywords"]), style,
                                rows[style], concept_of(entry["name"]),
                                bool(TONE.search(entry["name"]))))
        rows[style] += 1
    return pictures


def premultiplied(image):
    """[h, w, 4] 8-bit premultiplied pixels of a PIL picture."""
    pixels = np.asarray(image.convert("RGBA")).astype(np.uint16)
    alpha = pixels[..., 3:]
    pixels[..., :3] = (pixels[..., :3] * alpha + 127) // 255
    return pixels.astype(np.uint8)


def rasterised(path, size):
    """[size, size, 4] 8-bit premultiplied pixels of a picture file."""
    if path.suffix == ".svg":
        import resvg_py
        image = Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(
            svg_path=str(path), width=size, height=size, skip_system_fonts=True))))
    else:
        image = Image.open(path)
    if image.size != (size, size):
        image = image.convert("RGBA").resize((size, size), Image.LANCZOS)
    return premultiplied(image)


def _rasterise_rows(folder, store, rows, files):
    pixels = np.lib.format.open_memmap(store, mode="r+")
    for row, file in zip(rows, files):
        pixels[row] = rasterised(Path(folder) / file, SIZE)
    return len(rows)


class Pictures:
    """Memory-mapped pixels of every style beside their captions."""

    def __init__(self, data, state, workers=2):
        self.folder = unpacked(data, state)
        self.index = index(self.folder)
        self.by_style = {s: [p for p in self.index if p.style == s] for s in STYLES}
        store = Path(state) / "pictures"
        store.mkdir(parents=True, exist_ok=True)
        self.pixels = {}
        for style in STYLES:
            path = store / f"{style}.npy"
            if not (store / f"{style}.done").exists():
                self._rasterise(style, path, workers)
                (store / f"{style}.done").touch()
            self.pixels[style] = np.load(path, mmap_mode="r")

    def _rasterise(self, style, path, workers):
        pictures = self.by_style[style]
        np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8,
                                  shape=(len(pictures), SIZE, SIZE, 4)).flush()
        with ProcessPoolExecutor(workers) as pool:
            chunks = [pictures[i:i + 64] for i in range(0, len(pictures), 64)]
            jobs = [pool.submit(_rasterise_rows, self.folder, path,
                                [p.row for p in chunk], [p.file for p in chunk])
                    for chunk in chunks]
            print(style, sum(job.result() for job in jobs), "pictures", flush=True)

    def __getitem__(self, picture):
        """[256, 256, 4] premultiplied 8-bit pixels."""
        return self.pixels[picture.style][picture.row]

    def tensor(self, picture):
        """[4, 256, 256] float pixels 0...1."""
        return torch.from_numpy(np.array(self[picture])).permute(2, 0, 1).float() / 255

    def at_native_size(self, picture):
        """[4, 512, 512] float pixels 0...1: vectors rasterised anew, `3d` made larger (cubic)."""
        if picture.file.endswith(".svg"):
            pixels = rasterised(self.folder / picture.file, NATIVE_SIZE)
            return torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
        return F.interpolate(self.tensor(picture)[None], size=(NATIVE_SIZE, NATIVE_SIZE),
                             mode="bicubic")[0].clamp_(0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    Pictures(arguments.data, arguments.state, arguments.workers)


if __name__ == "__main__":
    main()

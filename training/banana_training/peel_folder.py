"""A folder of captioned pictures, as people have them, for training a peel."""

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from .data import premultiplied

SUFFIXES = (".png", ".webp", ".svg")
LARGEST_SIDE = 4096
LARGEST_BYTES = 32 << 20
MOST_PICTURES = 50_000
ARTICLES = ("a ", "an ", "the ")


class FolderError(Exception):
    """What is wrong with the folder and what to do about it."""


@dataclass(frozen=True)
class CaptionedPicture:
    """A picture's file, its caption without an article, further words, and its use.

    `style` is the only style of the model that it is asked for in; None: all of them.
    """

    file: str
    name: str
    keywords: tuple
    held_out: bool
    style: str | None = None


def _picture(entry_file, caption, keywords=(), held_out=False, style=None):
    caption = " ".join(caption.split())
    for article in ARTICLES:
        if caption.lower().startswith(article):
            caption = caption[len(article):]
            break
    return CaptionedPicture(entry_file, caption, tuple(keywords), held_out, style)


def _listed(path):
    """Pictures of captions.jsonl; keywords, style and held_out may be left out of a line."""
    pictures = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            entry = json.loads(line)
            file, caption = entry["file"], entry["caption"]
            keywords, held_out = entry.get("keywords", []), entry.get("held_out", False)
        except (json.JSONDecodeError, KeyError, TypeError, AttributeError):
            raise FolderError(f'{path}, line {number}: write {{"file": "cat.png", '
                              '"caption": "a cat"}') from None
        if not isinstance(caption, str) or not caption.strip():
            raise FolderError(f"{path}, line {number}: the caption of {file} is empty")
        pictures.append(_picture(file, caption, keywords, held_out, entry.get("style")))
    return pictures


def _some(files):
    return ", ".join(files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")


def captioned_pictures(folder):
    """All pictures of the folder; throws FolderError if any of them or of their captions lacks."""
    folder = Path(folder)
    if not folder.is_dir():
        raise FolderError(f"{folder} is not a folder")
    files = sorted(str(p.relative_to(folder)) for p in folder.rglob("*")
                   if p.suffix.lower() in SUFFIXES)
    if not files:
        raise FolderError(f"{folder} holds no pictures ({', '.join(SUFFIXES)})")
    if len(files) > MOST_PICTURES:
        raise FolderError(f"{folder} holds {len(files)} pictures; {MOST_PICTURES} are the most")
    if (folder / "captions.jsonl").exists():
        pictures = _listed(folder / "captions.jsonl")
        absent = [p.file for p in pictures if not (folder / p.file).is_file()]
        if absent:
            raise FolderError(f"captions.jsonl names pictures that are not there: {_some(absent)}")
        captioned = {p.file for p in pictures}
        bare = [file for file in files if file not in captioned]
        if bare:
            raise FolderError(f"captions.jsonl has no line for {_some(bare)}: add them")
        return pictures
    texts = {file: (folder / file).with_suffix(".txt") for file in files}
    bare = [file for file, text in texts.items()
            if not text.is_file() or not text.read_text(encoding="utf-8").strip()]
    if bare:
        raise FolderError(f"no caption for {_some(bare)}: write it into a .txt of the same name, "
                          "or all into captions.jsonl")
    return [_picture(file, text.read_text(encoding="utf-8")) for file, text in texts.items()]


def _opened(path, side):
    if path.suffix.lower() == ".svg":
        import resvg_py
        data = resvg_py.svg_to_bytes(svg_path=str(path), width=side, skip_system_fonts=True)
        return Image.open(io.BytesIO(bytes(data)))
    return Image.open(path)


def pixels_of(path, side):
    """[side, side, 4] premultiplied bytes; other shapes are fitted into the clear square."""
    path = Path(path)
    if path.stat().st_size > LARGEST_BYTES:
        raise FolderError(f"{path} is larger than {LARGEST_BYTES >> 20} MiB: make it smaller")
    try:
        image = _opened(path, side)
        if max(image.size) > LARGEST_SIDE:
            raise FolderError(f"{path} is {image.width}×{image.height}; {LARGEST_SIDE} a side "
                              "are the most: make it smaller")
        pixels = premultiplied(image)
    except FolderError:
        raise
    except Exception as error:
        raise FolderError(f"{path} cannot be read as a picture ({error}): "
                          "mend it or take it out") from None
    if pixels.shape[:2] == (side, side):
        return pixels
    # Pillow would weigh clear pixels' colours when it resizes RGBA; these are premultiplied.
    scale = side / max(pixels.shape[:2])
    size = [max(1, round(extent * scale)) for extent in pixels.shape[1::-1]]
    kind = Image.LANCZOS if scale < 1 else Image.BICUBIC
    bands = [Image.fromarray(np.ascontiguousarray(pixels[..., c])).resize(size, kind)
             for c in range(4)]
    fitted = np.stack([np.asarray(band) for band in bands], -1)
    square = np.zeros((side, side, 4), np.uint8)
    top, left = (side - size[1]) // 2, (side - size[0]) // 2
    square[top:top + size[1], left:left + size[0]] = np.minimum(fitted, fitted[..., 3:])
    return square


@torch.no_grad()
def encoded(encoder, folder, pictures, native_size, batch=16):
    """[picture, tokens, channels] latents, and the 32×32 thumbnails [picture, 32, 32, 3].

    Pictures are read at half the native size, which is what the code of the encoder resolves.
    """
    from .retrieval import thumbnails
    latents, small = [], []
    for i in range(0, len(pictures), batch):
        read = np.stack([pixels_of(Path(folder) / p.file, native_size // 2)
                         for p in pictures[i:i + batch]])
        x = torch.from_numpy(read).permute(0, 3, 1, 2).float() / 255
        small.append(thumbnails(x))
        x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
        latents.append(encoder(x).flatten(2).transpose(1, 2))
    return torch.cat(latents), torch.cat(small)

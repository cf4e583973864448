"""Measures a model package: retrieval, the autoencoder, alpha.

    python -m banana_training.evaluate --data stickers.tar.xz --state STATE \
        --package models/sticker --daemon .build/release/bananad --out quality.json

Every caption is drawn from several seeds by the engine itself, over its socket. A picture is
retrieved if, put on white and shrunk to 32×32, it is nearer (L2) to the picture of its caption
than to any other picture of its style. Captions that were seen in training are told from those
of the validation split, by kind of combination (see `Picture.validation`).
"""

import argparse
import base64
import http.client
import io
import json
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from .data import STYLES, Pictures, digest, premultiplied
from .package import load_package
from .retrieval import retrieval, thumbnails
from .trainer import save_atomically, save_json

KINDS = ["seen", "seen, skin tone", "style", "gender", "tone"]
UNSEEN = ["style", "gender", "tone"]


def kind_of(picture):
    """Which of KINDS a picture's caption is."""
    return picture.validation or ("seen, skin tone" if picture.toned else "seen")


def chosen(pictures, kind, count):
    """At most `count` pictures of a kind, the same ones every time, spread over the styles."""
    found = [p for p in pictures.index if kind_of(p) == kind]
    return sorted(found, key=lambda p: digest("evaluation " + p.file))[:count]


class Gallery:
    """Thumbnails of every picture, by style, cached in the state folder."""

    def __init__(self, pictures, state):
        path = Path(state) / "thumbnails.pt"
        if not path.exists():
            save_atomically({style: torch.cat([
                thumbnails(torch.from_numpy(np.array(pictures.pixels[style][i:i + 64]))
                           .permute(0, 3, 1, 2) / 255)
                for i in range(0, len(pictures.pixels[style]), 64)]) for style in STYLES}, path)
        self.by_style = torch.load(path, weights_only=True)

    def scores(self, drawn):
        """retrieval@1 and @5 of [(picture, thumbnail [32, 32, 3])]."""
        at1, at5 = 0.0, 0.0
        for style in STYLES:
            own = [(p, x) for p, x in drawn if p.style == style]
            if own:
                one, five = retrieval(torch.stack([x for _, x in own]), [p.row for p, _ in own],
                                      self.by_style[style])
                at1, at5 = at1 + one * len(own), at5 + five * len(own)
        return at1 / len(drawn), at5 / len(drawn)


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path):
        super().__init__("localhost", timeout=120)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


class Engine:
    """A daemon of its own for one package; `draw` gives pictures as the engine makes them."""

    def __init__(self, daemon, package):
        self.folder = tempfile.TemporaryDirectory()
        path = f"{self.folder.name}/banana.sock"
        self.process = subprocess.Popen([daemon, "--socket", path, "--models", str(package),
                                         "--state", f"{self.folder.name}/state",
                                         "--log-level", "error"])
        for _ in range(200):
            if Path(path).exists():
                break
            time.sleep(0.05)
        self.connection = UnixConnection(path)

    def draw(self, text, style, seed, steps=None):
        """Premultiplied RGBA [4, h, w] in 0...1."""
        wish = {"prompt": text, "style": style, "seed": seed, "size": "256x256"}
        self.connection.request("POST", "/v1/images/generations", json.dumps(
            wish | ({"steps": steps} if steps else {})))
        answer = json.loads(self.connection.getresponse().read())
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        image = Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))
        return torch.from_numpy(premultiplied(image)).permute(2, 0, 1) / 255

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


def alpha_quality(picture, drawn, pictures):
    """Overlap (IoU) of what is opaque with the true picture, and the share of half-clear pixels."""
    truth = pictures.tensor(picture)[3]
    a, b = drawn[3] > 0.5, truth > 0.5
    half = ((drawn[3] > 0.1) & (drawn[3] < 0.9)).float().mean()
    return float((a & b).sum() / (a | b).sum().clamp(min=1)), float(half)


def drawn_figures(draw, pictures, gallery, captions, seeds):
    """retrieval@1 and @5 of captions over seeds, and the mean alpha figures."""
    drawn, alpha = [], []
    for picture in captions:
        for seed in range(seeds):
            pixels = draw(picture.name, picture.style, seed + 1)
            drawn.append((picture, thumbnails(pixels[None])[0]))
            alpha.append(alpha_quality(picture, pixels, pictures))
    at1, at5 = gallery.scores(drawn)
    overlap, half = np.mean(alpha, 0)
    return {"pictures": len(drawn), "retrieval@1": round(100 * at1, 1),
            "retrieval@5": round(100 * at5, 1), "alphaOverlap": round(float(overlap), 3),
            "halfClear": round(float(half), 4)}


@torch.no_grad()
def autoencoder_psnr(package, pictures, count=92):
    """Mean PSNR in dB at 256 px, premultiplied RGBA, of pictures kept out of its training."""
    modules = load_package(package)[1]
    held_out = [p for p in pictures.index if p.held_out and not p.toned]
    found = []
    for p in held_out[::max(1, len(held_out) // count)]:
        x = pictures.at_native_size(p)[None]
        z = modules["encoder"](x).flatten(2).transpose(1, 2)
        y = modules["decoder"](z).clamp(0, 1)
        found.append(-10 * np.log10(F.avg_pool2d(y - x, 2).square().mean().item()))
    return round(float(np.mean(found)), 2), len(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--package", required=True)
    parser.add_argument("--daemon", required=True, help="path of bananad")
    parser.add_argument("--out", required=True)
    parser.add_argument("--record", action="store_true",
                        help="write the figures into the package's model.json as well")
    parser.add_argument("--captions", type=int, default=200, help="of each kind, at most")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 2, 4])
    k = parser.parse_args()
    pictures = Pictures(k.data, k.state)
    gallery = Gallery(pictures, k.state)
    psnr, count = autoencoder_psnr(k.package, pictures)
    result = {"autoencoder": {"psnr": psnr, "pictures": count}, "steps": {}}
    print(f"autoencoder {psnr} dB", flush=True)
    engine = Engine(k.daemon, k.package)
    try:
        for steps in k.steps:
            figures = result["steps"][str(steps)] = {}
            for kind in KINDS:
                figures[kind] = drawn_figures(
                    lambda text, style, seed: engine.draw(text, style, seed, steps),
                    pictures, gallery, chosen(pictures, kind, k.captions), k.seeds)
                print(steps, "steps,", kind, figures[kind], flush=True)
    finally:
        engine.close()
    save_json(result, k.out)
    if k.record:
        from .report import summary
        path = Path(k.package) / "model.json"
        save_json(json.loads(path.read_text()) | {"quality": summary(result)}, path)


if __name__ == "__main__":
    main()

"""Measures a model package, or a checkpoint: retrieval, fidelity, combinations, the autoencoder.

    python -m banana_training.evaluate --data stickers.tar.xz --state STATE \
        --package models/sticker --daemon .build/release/bananad --out quality.json
    python -m banana_training.evaluate --data stickers.tar.xz --state STATE \
        --checkpoint denoiser.pt --captions 40 --seeds 1 --steps 2 --out checkpoint.json

Every caption is drawn from several seeds: by the engine itself, over its socket, or by PyTorch from
the averaged weights of a checkpoint. A picture is retrieved if, put on white and shrunk to 32×32,
it is nearer (L2) to the picture of its caption than to any other picture of its style. Captions
that were seen in training are told from those of the validation split, by kind of combination (see
`Picture.validation`); "natural" are seen ones with skin tones as often as they occur. Seams, detail
and PSNR are as in `measures.py`, colours, counts and pairs as in `composed_figures.py`.
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

from .captions import prompt
from .composed_figures import KINDS as COMPOSED_KINDS, Judge
from .data import STYLES, Pictures, digest, premultiplied
from .drawing import Drawing, averaged_denoiser
from .linear_code import PATCH
from .measures import edges, psnr, seam_figure, seam_sums
from .package import load_package
from .retrieval import retrieval, thumbnails
from .trainer import save_atomically, save_json

KINDS = ["natural", "seen", "seen, skin tone", "style", "gender", "tone"]
UNSEEN = ["style", "gender", "tone"]


def kind_of(picture):
    """Which of KINDS a picture's caption is."""
    return picture.validation or ("seen, skin tone" if picture.toned else "seen")


def chosen(pictures, kind, count):
    """At most `count` pictures of a kind, the same ones every time, spread over the styles."""
    found = [p for p in pictures.index if kind_of(p) == kind or
             kind == "natural" and not p.validation]
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
    """A daemon of its own for one package: pictures as the engine makes them."""

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

    def pictures(self, wishes, steps):
        """Premultiplied RGBA [n, 4, 256, 256] in 0...1 of [(text, style, seed)]."""
        return torch.stack([self._drawn(*wish, steps) for wish in wishes])

    def _drawn(self, text, style, seed, steps):
        wish = {"prompt": text, "style": style, "seed": seed, "size": "256x256"}
        self.connection.request("POST", "/v1/images/generations",
                                json.dumps(wish | {"steps": steps}))
        answer = json.loads(self.connection.getresponse().read())
        if "error" in answer:
            raise RuntimeError(answer["error"]["message"])
        image = Image.open(io.BytesIO(base64.b64decode(answer["data"][0]["b64_json"])))
        return torch.from_numpy(premultiplied(image)).permute(2, 0, 1) / 255

    def close(self):
        self.process.terminate()
        self.process.wait()
        self.folder.cleanup()


class Checkpoint:
    """A denoiser of the state folder: pictures as PyTorch makes them, without guidance."""

    def __init__(self, state, file):
        self.denoiser, self.stored = averaged_denoiser(state, file)
        self.drawing = Drawing(state)

    def pictures(self, wishes, steps):
        """As those of `Engine`."""
        return self.drawing.pictures(self.denoiser, self.stored,
                                     [prompt(style, text) for text, style, _ in wishes],
                                     [seed for _, _, seed in wishes], steps)

    def close(self):
        pass


def alpha_quality(drawn, truth):
    """Overlap (IoU) of what is opaque with the true picture, and the share of half-clear pixels."""
    a, b = drawn[3] > 0.5, truth[3] > 0.5
    half = ((drawn[3] > 0.1) & (drawn[3] < 0.9)).float().mean()
    return float((a & b).sum() / (a | b).sum().clamp(min=1)), float(half)


def drawn_figures(artist, steps, pictures, gallery, captions, seeds):
    """Retrieval, fidelity and alpha of captions over seeds."""
    asked = [(p, seed + 1) for p in captions for seed in range(seeds)]
    drawn = artist.pictures([(p.name, p.style, seed) for p, seed in asked], steps)
    truth = [pictures.tensor(p) for p, _ in asked]
    small = thumbnails(drawn)
    at1, at5 = gallery.scores([(p, x) for (p, _), x in zip(asked, small)])
    overlap, half = np.mean([alpha_quality(x, y) for x, y in zip(drawn, truth)], 0)
    return {"pictures": len(drawn), "retrieval@1": round(100 * at1, 1),
            "retrieval@5": round(100 * at5, 1), "alphaOverlap": round(float(overlap), 3),
            "halfClear": round(float(half), 4),
            "psnr": round(float(np.mean([psnr(x, y) for x, y in zip(drawn, truth)])), 2),
            "seam": seam_of(drawn, truth), "trueSeam": seam_of(truth, truth),
            "detail": round(sum(map(edges, drawn)) / sum(map(edges, truth)), 3)}


def seam_of(drawn, truth):
    """The seam figure of many pictures together."""
    return round(seam_figure(sum(seam_sums(x, y, PATCH) for x, y in zip(drawn, truth))), 2)


def composed_figures(artist, steps, judge, count, held_out):
    """Colours, counts and pairs of held-out or of trained compositions."""
    found = {}
    for kind in COMPOSED_KINDS:
        compositions = judge.compositions(kind, count, held_out)
        drawn = artist.pictures([(c["caption"], c["style"], i + 1)
                                 for i, c in enumerate(compositions)], steps)
        found[kind] = judge.figures(kind, drawn, compositions)
        print(steps, "steps,", "unseen" if held_out else "seen", kind, found[kind], flush=True)
    return found


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
    parser.add_argument("--package", help="folder of a package, drawn by the engine")
    parser.add_argument("--daemon", help="path of bananad")
    parser.add_argument("--checkpoint", help="a file of STATE, drawn by PyTorch, instead")
    parser.add_argument("--out", required=True)
    parser.add_argument("--record", action="store_true",
                        help="write the figures into the package's model.json as well")
    parser.add_argument("--captions", type=int, default=200, help="of each kind, at most")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--steps", type=int, nargs="*", default=[1, 2, 4])
    parser.add_argument("--threads", type=int, default=1)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    pictures = Pictures(k.data, k.state)
    gallery, judge = Gallery(pictures, k.state), Judge(pictures)
    result = {"steps": {}}
    if k.checkpoint:
        artist = Checkpoint(k.state, k.checkpoint)
        result["picturesSeen"] = artist.stored["seen"]
    else:
        artist = Engine(k.daemon, k.package)
        decibels, count = autoencoder_psnr(k.package, pictures)
        result["autoencoder"] = {"psnr": decibels, "pictures": count}
        print(f"autoencoder {decibels} dB", flush=True)
    try:
        for steps in k.steps:
            figures = result["steps"][str(steps)] = {}
            asked = {kind: chosen(pictures, kind, k.captions) for kind in KINDS}
            for kind in filter(asked.get, KINDS):
                figures[kind] = drawn_figures(artist, steps, pictures, gallery, asked[kind],
                                              k.seeds)
                print(steps, "steps,", kind, figures[kind], flush=True)
            result.setdefault("composed", {})[str(steps)] = {
                name: composed_figures(artist, steps, judge, k.captions, held_out)
                for name, held_out in (("unseen", True), ("seen", False))}
    finally:
        artist.close()
    save_json(result, k.out)
    if k.record:
        from .report import summary
        path = Path(k.package) / "model.json"
        save_json(json.loads(path.read_text()) | {"quality": summary(result)}, path)


if __name__ == "__main__":
    main()

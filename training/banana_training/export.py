"""Writes the model package.

    python -m banana_training.export --state STATE --out models/sticker
"""

import argparse
import hashlib
import json
import os
import platform
import shutil
from pathlib import Path

import numpy as np
import torch

from . import formats
from .data import STYLES
from .matting import ALPHA_RANGE
from .package import camel, flattened
from .sampling import SHIFT

F16_WEIGHTS = {"denoiser": {"input.weight", "output.weight", "sigma.0.weight", "sigma.2.weight"}}
LICENSES = [
    {"what": "training pictures: Fluent Emoji by Microsoft", "license": "MIT",
     "source": "https://github.com/microsoft/fluentui-emoji"},
    {"what": "training captions: Unicode CLDR 41 annotations", "license": "Unicode-DFS-2016",
     "source": "https://cldr.unicode.org"},
    {"what": "text encoder: all-MiniLM-L6-v2, quantized", "license": "Apache-2.0",
     "source": "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2"},
    {"what": "denoiser and autoencoder weights", "license": "Apache-2.0", "source": "training/"},
]


def int8_storage(module, name, array):
    """Matrices as int8 in blocks (or f16 where named), everything else f32."""
    if name in F16_WEIGHTS.get(module, ()):
        return {name: array.astype(np.float16)}
    if array.ndim in (2, 4) and not name.endswith(".modulation"):
        q, scale = formats.int8_rows(flattened(array))
        return {name + ".int8": formats.n16k4(q), name + ".scale": scale}
    return {name: array.astype(np.float32)}


def plain_storage(module, name, array):
    """Everything f32."""
    return {name: flattened(array).astype(np.float32)}


def stored_module(module, state, storage):
    stored = {}
    for name, tensor in state.items():
        stored.update(storage(module, name, tensor.detach().cpu().float().numpy()))
    return stored


def configuration(text, denoiser, decoder, encoder):
    """The networks' part of the "configuration" of model.json."""
    return {"textEncoder": camel(text.dictionary()),
            "denoiser": camel(denoiser.dictionary()) | {"prediction": "sample"},
            "decoder": camel(decoder.dictionary()),
            "encoder": camel(encoder.dictionary()) | {"linearFactor": encoder.linear_factor}}


def write_package(folder, modules, vocabulary, manifest):
    """Writes all files beside and renames them; fills in "files" with sizes and digests.

    modules: {"text_encoder": stored arrays, ...}; vocabulary: the lines of vocab.txt.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    files = {}

    def put(name, write):
        beside = folder / f".{name}.part"
        write(beside)
        data = beside.read_bytes()
        os.replace(beside, folder / name)
        return {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}

    files["vocab.txt"] = put("vocab.txt", lambda path: path.write_text(
        "\n".join(vocabulary) + "\n", encoding="utf-8"))
    for name, stored in modules.items():
        files[f"{name}.safetensors"] = put(
            f"{name}.safetensors", lambda path: formats.save_safetensors(stored, path))
    weights = {next(iter(camel({name: 0}))): [f"{name}.safetensors"] for name in modules}
    manifest = manifest | {"files": files, "weights": weights}
    put("model.json", lambda path: path.write_text(json.dumps(manifest, indent=2) + "\n"))
    return manifest


# Of styles that are only there if a set of theirs was made.
FURTHER_LICENSES = {"noto": [
    {"what": "training pictures: Noto Color Emoji by Google", "license": "Apache-2.0",
     "source": "https://github.com/googlefonts/noto-emoji"}]}


def manifest_of(name, version, description, licenses, training, configuration, quality):
    """model.json without its files, which `write_package` adds."""
    return {"formatVersion": 2, "name": name, "family": "sticker-dit", "version": version,
            "description": description, "licenses": licenses, "training": training,
            "quality": quality, "configuration": configuration}


def text_section(maximum_tokens, styles=STYLES):
    return {"vocabulary": "vocab.txt", "lowercase": True,
            "maximumTokens": maximum_tokens, "promptTemplate": "{style} sticker of {prompt}",
            "styles": list(styles), "defaultStyle": "3d"}


def compute(state):
    """Pictures that the denoiser saw and hours that it took, from teacher to quantization."""
    runs = [torch.load(Path(state) / file, map_location="cpu", weights_only=True)
            for file in ("denoiser.pt", "student.pt", "quantized.pt")]
    return {"picturesSeen": sum(run["seen"] for run in runs),
            "hours": round(sum(run["seconds"] for run in runs) / 3600, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--version", default="0.2.0")
    parser.add_argument("--machine", default=f"{platform.machine()}, {os.cpu_count()} cores")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--quality", default="{}", help="JSON of measured figures")
    parser.add_argument("--alpha-range", type=float, nargs=2, default=ALPHA_RANGE,
                        help="what the decoder gives for clear and for opaque")
    k = parser.parse_args()
    from .quantization import stored_denoiser
    from .composed_sets import styles_of
    from .drawing import averaged_denoiser, trained_decoder
    from .text_encoder import minilm, minilm_folder, storage as text_storage
    from .train_autoencoder import trained_encoder
    decoder, encoder = trained_decoder(k.state), trained_encoder(k.state)
    denoiser, stored = averaged_denoiser(k.state, "quantized.pt")
    text, encoded = minilm(), {}
    for name, tensor in text.state_dict().items():
        encoded.update(text_storage(name, tensor.numpy()))
    modules = {
        "text_encoder": encoded,
        "denoiser": stored_denoiser(denoiser),
        "decoder": stored_module("decoder", decoder.state_dict(), int8_storage),
        "encoder": stored_module("encoder", encoder.state_dict(), int8_storage),
    }
    vocabulary = (minilm_folder() / "vocab.txt").read_text(encoding="utf-8").split("\n")
    further = [style for style in styles_of(k.state) if style not in STYLES]
    licenses = LICENSES + [entry for style in further for entry in FURTHER_LICENSES[style]]
    manifest = manifest_of(
        "sticker", k.version, "Stickers with a transparent background from short prompts.",
        licenses, {"data": "Fluent Emoji (3d, color, flat) with CLDR names and keywords",
                   "machine": k.machine, **compute(k.state)},
        configuration(text.configuration, denoiser.configuration, decoder.configuration,
                      encoder.configuration) | {
            "text": text_section(64, STYLES + further),
            "latents": {"mean": [round(float(x), 7) for x in stored["mean"]],
                        "standardDeviation": [round(float(x), 7) for x in stored["divisor"]]},
            "sampling": {"sampler": "consistency", "steps": k.steps, "guidance": 1.0,
                         "sigmaShift": SHIFT},
            "alphaRange": list(k.alpha_range), "sizes": [256, 512]},
        json.loads(k.quality))
    written = write_package(k.out, modules, [v for v in vocabulary if v], manifest)
    card = Path(__file__).parent.parent / "model_card.md"
    if card.exists():
        shutil.copyfile(card, Path(k.out) / "README.md")
    for name, file in written["files"].items():
        print(f"{name:28} {file['bytes'] / 1e6:7.2f} MB")
    print(f"{'in all':28} {sum(f['bytes'] for f in written['files'].values()) / 1e6:7.2f} MB")


if __name__ == "__main__":
    main()

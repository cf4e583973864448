"""Whole architectures against diffusers: each network layer by layer, and pictures of every sampler.

    make parity

For each architecture a checkpoint with random weights (parity_checkpoints.py) is imported as it is.
`banana-bench compare` then says what each layer's error is, and a daemon with exact activations
draws what diffusers draws. Fails below 40 dB.
"""

import argparse
import base64
import http.client
import io
import json
import math
import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import StableDiffusionPipeline
from PIL import Image
from safetensors.torch import save_file

from . import parity_checkpoints
from .diffusers_goldens import channels_last, tapped
from .stable_diffusion_goldens import draw

SIDE = 32  # latents: pictures of 256 pixels
LEAST = 40
CASES = [
    dict(prompt="a lighthouse on a cliff at dusk", negative="fog", sampler=sampler, spacing=spacing,
         steps=4, guidance=1 if spacing == "lcm" else 5, seed=number)
    for number, (sampler, spacing) in enumerate([
        ("euler", "trailing"), ("ddim", "leading"), ("dpmpp_2m", "karras"), ("lcm", "lcm"),
        ("euler_a", "trailing"), ("tcd", "lcm"),
    ])
]
# Guidance is in their weights.
UNGUIDED = ("sd-turbo", "sdxs")


def network_goldens(pipeline, path):
    """What `banana-bench compare` reads."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}

    def keep(network, kind, values):
        for name, value in values.items():
            tensors[f"{network}/{kind}/{name}"] = channels_last(value).clone().contiguous()

    def extents(network, *numbers):
        tensors[f"{network}/extents"] = torch.tensor(numbers, dtype=torch.int32)


    tokenizer = pipeline.tokenizer
    ids = torch.tensor([tokenizer(
        "a lighthouse on a cliff at dusk", padding="max_length", max_length=77).input_ids])
    hidden = pipeline.text_encoder(ids).last_hidden_state
    extents("textEncoder", 1, 77, 0, 0, 0)
    keep("textEncoder", "inputs", {"ids": ids.int()})
    keep("textEncoder", "outputs", {"hidden": hidden})

    latents = torch.randn(1, 4, SIDE, SIDE, generator=generator)
    given = {"latents": latents, "time": torch.tensor([601.0])}
    for name, module in pipeline.unet.named_modules():
        if name.endswith("attn2"):
            given[f"keys.{name}"] = module.to_k(hidden)
            given[f"values.{name}"] = module.to_v(hidden)
    taps = tapped(
        pipeline.unet, {"conv_in", "time_embedding", "down_blocks", "mid_block", "up_blocks"})
    prediction = pipeline.unet(latents, given["time"], hidden).sample
    extents("context", 1, 77, 0, 0, 0)
    keep("context", "inputs", {"hidden": hidden})
    keep("context", "outputs", {k: v for k, v in given.items() if "." in k})
    extents("denoiser", 1, 77, SIDE, SIDE, 0)
    keep("denoiser", "inputs", given)
    keep("denoiser", "layers", {k.removeprefix("taps."): v for k, v in taps.items()})
    keep("denoiser", "outputs", {"prediction": prediction})

    taps = tapped(pipeline.vae, {"down_blocks", "mid_block", "up_blocks"})
    code = 5 * torch.randn(1, 4, SIDE, SIDE, generator=generator)
    pixels = pipeline.vae.decode(code).sample
    taken = pipeline.vae.encode(pixels.clamp(-1, 1))
    taken = taken.latents if hasattr(taken, "latents") else taken.latent_dist.mean
    for network in ("decoder", "encoder"):
        extents(network, 1, 0, SIDE, SIDE, 0)
        keep(network, "layers", {
            k.removeprefix("taps."): v for k, v in taps.items() if k.startswith(f"taps.{network}")})
    keep("decoder", "inputs", {"latents": code})
    keep("decoder", "outputs", {"pixels": pixels})
    keep("encoder", "inputs", {"pixels": pixels.clamp(-1, 1)})
    keep("encoder", "outputs", {"latents": taken})
    save_file(tensors, path)


class Daemon:
    """A daemon with exact activations, and what it draws."""

    def __init__(self, programs, models, folder):
        self.path = folder / "banana.sock"
        self.process = subprocess.Popen([
            programs / "bananad", "--socket", self.path, "--state", folder / "state", "--models",
            models, "--activations", "float32", "--log-level", "warning"])
        for _ in range(600):
            if self.path.exists():
                return
            time.sleep(0.1)
        raise SystemExit("bananad does not start")

    def picture(self, model, case):
        connection = http.client.HTTPConnection("banana")
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.connect(str(self.path))
        body = {
            "model": model, "prompt": case["prompt"], "negative_prompt": case["negative"],
            "sampler": case["sampler"], "spacing": case["spacing"], "steps": case["steps"],
            "guidance": case["guidance"], "seed": case["seed"], "size": f"{SIDE * 8}x{SIDE * 8}"}
        connection.request(
            "POST", "/v1/images/generations", json.dumps(body),
            {"content-type": "application/json"})
        answer = json.loads(connection.getresponse().read())
        if "data" not in answer:
            raise SystemExit(f"bananad answers {answer}")
        png = base64.b64decode(answer["data"][0]["b64_json"])
        return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), np.float64) / 255

    def stop(self):
        self.process.terminate()
        self.process.wait()


def check(architecture, options):
    folder = options.folder / architecture
    checkpoint = folder / "checkpoint"
    if not (checkpoint / "model_index.json").exists():
        parity_checkpoints.write(architecture, options.merges, checkpoint)
    pipeline = StableDiffusionPipeline.from_pretrained(
        checkpoint, torch_dtype=torch.float32, safety_checker=None, requires_safety_checker=False)
    pipeline.set_progress_bar_config(disable=True)
    goldens = folder / "goldens.safetensors"
    network_goldens(pipeline, goldens)

    models = folder / "models"
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir()
    subprocess.run([
        options.programs / "banana", "model", "import", checkpoint, "--name", architecture,
        "--quantize", "f16", "--to", models], check=True)
    subprocess.run([
        options.programs / "banana-bench", "--activations", "float32", "compare",
        models / architecture, goldens, "--least", str(LEAST)], check=True)

    daemon = Daemon(options.programs, models, folder)
    try:
        ratios = {}
        for case in CASES:
            if architecture in UNGUIDED:
                case = case | {"guidance": 1}
            wanted = draw(pipeline, case, SIDE)["pixels"].numpy().astype(np.float64)
            found = daemon.picture(architecture, case)
            square = np.mean((np.clip(wanted / 2 + 0.5, 0, 1) - found) ** 2)
            ratios[case["sampler"]] = -10 * math.log10(max(square, 1e-15))
            print(f"{architecture}, {case['sampler']} {case['spacing']}: "
                  f"{ratios[case['sampler']]:.1f} dB of the picture", flush=True)
    finally:
        daemon.stop()
    if min(ratios.values()) < LEAST:
        raise SystemExit(f"{architecture}: less than {LEAST} dB")
    if not options.keep:
        shutil.rmtree(folder)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--programs", type=Path, required=True, help="Where the programs are.")
    parser.add_argument("--folder", type=Path, required=True, help="6 GiB are written there.")
    parser.add_argument("--merges", type=Path, default=Path("../tokenizers/clip/merges.txt"))
    parser.add_argument("--keep", action="store_true", help="Leave what was written.")
    parser.add_argument("architectures", nargs="*", default=list(parity_checkpoints.ARCHITECTURES))
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    for architecture in options.architectures:
        check(architecture, options)


if __name__ == "__main__":
    main()

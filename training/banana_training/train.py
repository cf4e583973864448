"""Trains the whole model: every stage in its order, within a budget of hours.

    python -m banana_training.train --data stickers.tar.xz --state STATE --out models/sticker \
        --peels peels --hours 2

A stage that has ended is noted in STATE/stages.json and not run again; one that was stopped goes
on from its own checkpoint. On CUDA the denoiser is larger and so are batches.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

import torch

from .peel_data import PEELS
from .trainer import save_json

# Trained stages and their shares of the hours; what stands before and after takes minutes.
SHARES = {"train_decoder": 0.15, "train_denoiser": 0.45, "train_student": 0.15, "drawn": 0,
          "train_decoder again": 0.1, "train_quantized": 0.1, "train_pruned": 0.05}
LARGE = ["--width", "384", "--layers", "8", "--heads", "6", "--hidden-width", "1024"]


def stages(k):
    """[(name, arguments)] of every stage."""
    common = ["--data", k.data, "--state", k.state]
    cuda = torch.cuda.is_available()
    found = [("data", common), ("train_autoencoder", common), ("latents", [*common, "--toned"])]
    for name, share in SHARES.items():
        arguments = list(common)
        if share:
            arguments += ["--until", f"+{share * k.hours * 3600:.0f}"]
        if name.startswith("train_") and "decoder" not in name:
            arguments += ["--compile", *(["--batch", "512"] if cuda else [])]
        if name == "train_denoiser" and cuda:
            arguments += LARGE
        found.append((name, arguments))
    found += [("export", ["--state", k.state, "--out", k.out]),
              ("variants", [*common, "--out", str(Path(k.state) / "variants.json")])]
    # A peel fits one base only, so they are made anew for the new one.
    for name in PEELS:
        pictures = str(Path(k.state) / "peels" / name)
        found += [(f"peel_data {name}", [name, "--data", k.data, "--out", pictures]),
                  (f"peel {name}", ["--base", k.out, "--pictures", pictures, "--out",
                                    str(Path(k.peels) / f"{name}.safetensors")])]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--out", required=True, help="folder of the package")
    parser.add_argument("--peels", required=True, help="folder of the peels that ship")
    parser.add_argument("--hours", type=float, default=2)
    k = parser.parse_args()
    Path(k.state).mkdir(parents=True, exist_ok=True)
    path = Path(k.state) / "stages.json"
    done = json.loads(path.read_text()) if path.exists() else []
    for name, arguments in stages(k):
        if name in done:
            continue
        print(f"== {name}", flush=True)
        code = subprocess.run([sys.executable, "-m", f"banana_training.{name.split()[0]}", *arguments],
                              env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
                              ).returncode
        if code:
            sys.exit(f"{name} ended with {code}. Mend what it says and start again: stages that "
                     "have ended are not run again.")
        save_json([*done, name], path)
        done.append(name)


if __name__ == "__main__":
    main()

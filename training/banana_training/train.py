"""Trains the whole model: every stage in its order, within a budget of hours.

    python -m banana_training.train --data stickers.tar.xz --state STATE --out models/sticker \
        --peels peels --hours 2

A stage that has ended is noted in STATE/stages.json and not run again; one that was stopped goes
on from its own checkpoint. On CUDA batches are larger, and what is trained is compiled.
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
SHARES = {"train_decoder": 0.13, "train_denoiser": 0.45, "train_student": 0.12, "drawn": 0,
          "train_decoder again": 0.08, "train_refiner": 0.1, "train_quantized": 0.08,
          "train_pruned": 0.04}
# For rehearsals: a denoiser that is trained in seconds.
TINY = ["--width", "32", "--layers", "1", "--heads", "2", "--hidden-width", "64"]


def stages(k):
    """[(name, arguments)] of every stage."""
    common = ["--data", k.data, "--state", k.state]
    cuda, workers = torch.cuda.is_available(), ["--workers", str(os.cpu_count())]
    found = [("data", common + workers), ("train_autoencoder", common),
             ("latents", [*common, "--toned"]),
             ("composed", [*common, *workers, "--set", "1", "--count", str(k.composed)])]
    for name, share in SHARES.items():
        arguments = list(common)
        if share:
            arguments += ["--until", f"+{share * k.hours * 3600:.0f}"]
        if k.tiny:
            arguments += ["--batch", "4"] if share else []
        elif name.startswith("train_") and "decoder" not in name and "refiner" not in name and cuda:
            arguments += ["--compile", "--batch", "512"]
        if name == "train_denoiser":
            arguments += ["--decay-from", "0.3", "--rate", "4e-3", "--rest-rate", "2e-3"]
            arguments += TINY if k.tiny else []
        if name == "train_refiner":
            arguments += ["--drawn", "0.3"]
        found.append((name, arguments))
    found += [("export", ["--state", k.state, "--out", k.out]),
              ("variants", [*common, "--out", str(Path(k.state) / "variants.json"),
                            *(["--captions", "3", "--teacher-steps", "2"] if k.tiny else [])])]
    # A peel fits one base only, so they are made anew for the new one.
    for name in PEELS if k.peels else []:
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
    parser.add_argument("--peels", help="folder of the peels that ship; without it none are made")
    parser.add_argument("--hours", type=float, default=2)
    parser.add_argument("--composed", type=int, default=40000, help="composed pictures")
    parser.add_argument("--tiny", action="store_true", help="a rehearsal: models and batches tiny")
    k = parser.parse_args()
    Path(k.state).mkdir(parents=True, exist_ok=True)
    path = Path(k.state) / "stages.json"
    done = json.loads(path.read_text()) if path.exists() else []
    for name, arguments in stages(k):
        if name in done:
            continue
        print(f"== {name}", flush=True)
        module = f"banana_training.{name.split()[0]}"
        code = subprocess.run([sys.executable, "-m", module, *arguments],
                              env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
                              ).returncode
        if code:
            sys.exit(f"{name} ended with {code}. Mend what it says and start again: stages that "
                     "have ended are not run again.")
        save_json([*done, name], path)
        done.append(name)


if __name__ == "__main__":
    main()

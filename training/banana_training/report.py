"""Writes the model report: tables and plots of what evaluate.py and variants.py measured.

    python -m banana_training.report --state STATE --quality quality.json --out docs
"""

import argparse
import json
import re
from pathlib import Path

from .evaluate import UNSEEN

TEXT = """# The sticker model: what was measured

{intro}

A picture is *retrieved* if, put on white and shrunk to 32×32, it is nearer (L2) to the picture of
its caption than to any other picture of its style. *Unseen* captions are combinations that the
denoiser was not trained on since the split was made, whose parts it has seen: a person in
another skin tone (`tone`), a role in the other gender (`gender`), a thing in another style
(`style`); `Picture.validation` in `training/banana_training/data.py` says which.

## What ships

Drawn by the engine itself (int4 and int8 weights, int8 activations), {seeds} seeds a caption.

PSNR is at 256 px to the true pictures (premultiplied RGBA); *seam* is the step in brightness across
borders of patches over that inside them, where the true picture is flat ({true_seam} in true
pictures); *detail* the sum of absolute Laplacians over that of the true pictures.

{shipped}

What is asked for in combinations: the colour most of the picture has, the number of connected
parts, both things found among all things of the style by the two halves of the picture. *Unseen*
pairs of colour and thing, number and thing, thing and thing were kept out of training; no colour is the
thing's own.

{composed}

Autoencoder: **{psnr} dB** PSNR on {held_out} pictures kept out of its training (premultiplied RGBA, 256 px).

![retrieval by steps](model-steps.png)

## Variants

In PyTorch with the kernels' arithmetic, the same captions and seeds for all, one seed a caption.
PSNR is that of the pictures to those of the f32 student at 2 steps; size that of the denoiser.

{variants}

![quality and cost](model-cost.png)

## Which layers keep eight bits

Relative squared error of the denoiser's output at the highest noise level when only that layer
has int4 weights, rounded; those above four times the median are int8.

{sensitivity}

{remarks}
"""


def table(header, rows):
    lines = ["| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
    return "\n".join(lines + ["| " + " | ".join(str(x) for x in row) + " |" for row in rows])


def shipped_rows(quality):
    for steps, kinds in quality["steps"].items():
        for kind, f in kinds.items():
            yield (steps, kind, f["pictures"], f["retrieval@1"], f["retrieval@5"],
                   f["psnr"], f["seam"], f["detail"], f["alphaOverlap"],
                   f"{100 * f['halfClear']:.1f} %")


def composed_rows(quality):
    for steps, parts in quality["composed"].items():
        for part, kinds in parts.items():
            for kind, f in kinds.items():
                yield (steps, f"{part} {kind}", f["pictures"], f["shown"], f["trueOnesShown"],
                       f.get("ownColour", ""))


def pooled(kinds, names):
    """retrieval@1 over several kinds of captions."""
    drawn = [kinds[n] for n in names if n in kinds]
    return sum(f["retrieval@1"] * f["pictures"] for f in drawn) / sum(f["pictures"] for f in drawn)


def summary(quality):
    """What model.json says of a package's quality."""
    found = {"autoencoderPSNR": quality["autoencoder"]["psnr"]}
    for steps, kinds in quality["steps"].items():
        found[f"retrievalSeen{steps}Steps"] = round(pooled(kinds, ["seen"]), 1)
        found[f"retrievalSeenSkinTone{steps}Steps"] = round(pooled(kinds, ["seen, skin tone"]), 1)
        found[f"retrievalUnseen{steps}Steps"] = round(pooled(kinds, UNSEEN), 1)
        for kind, f in quality["composed"][steps]["unseen"].items():
            found[f"unseen{kind.capitalize()}{steps}Steps"] = f["shown"]
    return found


def plots(quality, variants, out):
    import matplotlib
    matplotlib.use("Agg")
    from matplotlib import pyplot
    figure, axes = pyplot.subplots(figsize=(5, 3.2))
    steps = list(quality["steps"])
    axes.plot(steps, [pooled(quality["steps"][s], ["natural"]) for s in steps], "o-", label="seen")
    axes.plot(steps, [pooled(quality["steps"][s], UNSEEN) for s in steps], "o-", label="unseen")
    axes.set(xlabel="steps", ylabel="retrieval@1, %", ylim=(0, 102))
    axes.legend()
    figure.tight_layout()
    figure.savefig(out / "model-steps.png", dpi=110)
    figure, axes = pyplot.subplots(figsize=(6, 3.6))
    families = {}
    for name, f in variants.items():
        family = re.sub(r",? \d+ steps?$", "", name)
        families.setdefault(family, []).append((f["gop"], f["unseen"]["retrieval@1"]))
    for marker, (family, points) in zip("osD^vPX*", families.items()):
        axes.plot(*zip(*sorted(points)), marker + "-", label=family, alpha=0.8)
    axes.legend(fontsize=7)
    axes.set(xlabel="GOP of the denoiser a picture (log)", xscale="log",
             ylabel="retrieval@1 of unseen captions, %")
    figure.tight_layout()
    figure.savefig(out / "model-cost.png", dpi=110)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True)
    parser.add_argument("--quality", required=True, help="what evaluate.py wrote")
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--intro", default="", help="a file with the first paragraph")
    parser.add_argument("--remarks", default="", help="a file with the last part")
    parser.add_argument("--out", required=True)
    k = parser.parse_args()
    out, state = Path(k.out), Path(k.state)
    quality = json.loads(Path(k.quality).read_text())
    variants = json.loads((state / "variants.json").read_text())
    errors = json.loads((state / "bits.json").read_text())
    plots(quality, variants, out)
    rows = sorted(errors["sensitivity"].items(), key=lambda x: -x[1])[:12]
    text = TEXT.format(
        intro=Path(k.intro).read_text().strip() if k.intro else "",
        remarks=Path(k.remarks).read_text().strip() if k.remarks else "",
        seeds=k.seeds, psnr=quality["autoencoder"]["psnr"],
        held_out=quality["autoencoder"]["pictures"],
        true_seam=next(iter(quality["steps"].values()))["natural"]["trueSeam"],
        composed=table(["steps", "combinations", "pictures", "shown, %", "in true pictures",
                        "the thing's own colour instead"], composed_rows(quality)),
        shipped=table(["steps", "captions", "pictures", "retrieval@1, %", "@5, %",
                       "PSNR, dB", "seam", "detail", "overlap of alpha", "half-clear pixels"],
                      shipped_rows(quality)),
        variants=table(
            ["variant", "GOP", "size, MB", "seen @1, %", "seen @5", "unseen @1", "unseen @5",
             "PSNR, dB"],
            [(name, f["gop"], f"{f['bytes'] / 1e6:.2f}", f["seen"]["retrieval@1"],
              f["seen"]["retrieval@5"], f["unseen"]["retrieval@1"], f["unseen"]["retrieval@5"],
              f.get("psnr", "")) for name, f in variants.items()]),
        sensitivity=table(["layer", "error", "bits"],
                          [(n, f"{e:.5f}", errors["bits"][n]) for n, e in rows]))
    (out / "model-report.md").write_text(text.rstrip() + "\n")


if __name__ == "__main__":
    main()

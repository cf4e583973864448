"""Composed pictures as training reads them: latents and encoded captions, in sets on disk.

A set is a folder STATE/composed/NUMBER, mapped and never changed. `composed.py` makes them; a run
draws from all that are there when it starts.
"""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import torch

from .captions import encoded_texts
from .text_encoder import minilm_folder, shipped_minilm
from .wordpiece import WordPiece


def make_set(state, number, coordinates, captions, examples, device="cpu"):
    """Encodes the captions of pictures, [n] full texts, and writes set `number` of a state folder.

    coordinates [n, tokens, channels] f16; examples: n dictionaries that say what is seen.
    """
    texts = sorted(set(captions))
    row_of = {text: i for i, text in enumerate(texts)}
    hidden, pooled = encoded_texts(texts, shipped_minilm(state).to(device),
                                   WordPiece(minilm_folder() / "vocab.txt"))
    write_set(Path(state) / "composed" / str(number), coordinates,
              np.array([row_of[t] for t in captions]), [h.numpy() for h in hidden],
              pooled.numpy(), examples)


def write_set(folder, coordinates, caption_of, hidden, pooled, examples):
    """Writes a set beside and renames it.

    coordinates [n, tokens, channels] f16 of the linear code; caption_of [n] numbers of captions;
    hidden: [length, width] f16 of every caption; pooled [m, width] f16; examples: n dictionaries.
    """
    beside = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    beside.mkdir(parents=True)
    end = np.cumsum([len(h) for h in hidden])
    spans = np.stack([end - [len(h) for h in hidden], end], 1)
    for name, array in {"coordinates": coordinates, "caption_of": caption_of, "spans": spans,
                        "hidden": np.concatenate(hidden), "pooled": pooled}.items():
        np.save(beside / f"{name}.npy", array)
    (beside / "examples.jsonl").write_text("".join(json.dumps(e) + "\n" for e in examples))
    shutil.rmtree(folder, ignore_errors=True)
    os.rename(beside, folder)


def styles_of(state):
    """The styles that sets of a state folder have, in alphabetical order."""
    return sorted({json.loads(line)["style"] for file in
                   (Path(state) / "composed").glob("*/examples.jsonl")
                   for line in file.read_text().splitlines()})


class ComposedSet:
    """One set, mapped."""

    def __init__(self, folder):
        for name in ("coordinates", "caption_of", "spans", "hidden", "pooled"):
            setattr(self, name, np.load(Path(folder) / f"{name}.npy", mmap_mode="r"))

    def __len__(self):
        return len(self.coordinates)

    def example(self, row):
        """Coordinates [tokens, channels], hidden [length, width], pooled [width] of one picture."""
        caption = self.caption_of[row]
        begin, end = self.spans[caption]
        return tuple(torch.from_numpy(np.array(a)) for a in (
            self.coordinates[row], self.hidden[begin:end], self.pooled[caption]))


class ComposedSets:
    """All sets of a state folder."""

    def __init__(self, state):
        folder = Path(state) / "composed"
        found = sorted(f for f in folder.glob("*") if f.name.isdigit()) if folder.exists() else []
        self.sets = [ComposedSet(f) for f in found]
        self.ends = np.cumsum([len(s) for s in self.sets])

    def __len__(self):
        return int(self.ends[-1]) if self.sets else 0

    def draw(self, count, generator):
        """Coordinates [count, tokens, channels], hidden [count, T, width], pooled, mask."""
        rows = np.sort(generator.integers(len(self), size=count))
        found = []
        for row in rows:
            i = int(np.searchsorted(self.ends, row, side="right"))
            found.append(self.sets[i].example(row - (self.ends[i] - len(self.sets[i]))))
        coordinates, hidden, pooled = zip(*found)
        lengths = torch.tensor([len(h) for h in hidden])
        mask = torch.arange(int(lengths.max())) < lengths[:, None]
        return (torch.stack(coordinates), torch.nn.utils.rnn.pad_sequence(hidden, batch_first=True),
                torch.stack(pooled), mask)

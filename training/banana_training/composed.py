"""Makes a set of composed pictures: what teaches the denoiser to combine what it knows.

    python -m banana_training.composed --data stickers.tar.xz --state STATE --set 1 [--count 40000]

Draws compositions (`compositions.py`), composes them, and keeps their latents and the encodings of
their captions in STATE/composed/1. The number seeds the set: another number is another set.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from .captions import encoded_texts, prompt, with_article
from .composed_sets import write_set
from .compositions import KINDS, Things, composed_picture, is_held_out
from .data import Pictures
from .linear_code import loaded_code
from .recolouring import COLOURS
from .text_encoder import minilm_folder, shipped_minilm
from .things import ALIASES, COLOURED_NAMES, GROUNDS, HATS, HEADS, PLURALS, THINGS, UNCOUNTED, plural
from .wordpiece import WordPiece

# How often a thing of the other kinds has a colour too.
COLOURED_SHARE = 0.3
NUMBERS = {2: "two", 3: "three", 4: "four", 5: "five"}


def drawn_composition(things, g):
    """A composition, of things drawn evenly."""
    kind = str(g.choice(list(KINDS), p=list(KINDS.values())))
    style = things.styles[g.integers(len(things.styles))]

    def one_of(names, but=None):
        found = [n for n in things.names(style, names) if n != but]
        return found[g.integers(len(found))]

    count = int(g.integers(2, 6)) if kind == "count" else 1
    if kind == "hat":
        chosen = [one_of(HEADS), one_of(sorted(set(HATS.values())))]
    elif kind == "on":
        ground = one_of(GROUNDS)
        chosen = [ground, one_of(THINGS, but=ground)]
    elif kind in ("pair", "size"):
        first = one_of(THINGS)
        chosen = [first, one_of(THINGS, but=first)]
    else:
        chosen = [one_of([n for n in THINGS if count == 1 or n not in UNCOUNTED])]
    colours = [str(g.choice(list(COLOURS))) if kind == "colour" or g.random() < COLOURED_SHARE
               else None for _ in chosen]
    found = {"kind": kind, "style": style, "things": chosen, "colours": colours, "count": count}
    return found | ({"large": int(g.integers(2))} if kind == "size" else {})


def is_seen_to_be(composition, things):
    """Whether every thing that is given a colour takes it."""
    return all(colour is None or things.takes(composition["style"], name, colour)
               for name, colour in zip(composition["things"], composition["colours"]))


def noun(name, colour, g):
    """What a thing is called: its name or what people say, with its colour."""
    said = ALIASES[name] if name in ALIASES and (
        name in COLOURED_NAMES or g.random() < 0.6) else name
    if colour == "grey" and g.random() < 0.5:
        colour = "gray"
    return f"{colour} {said}" if colour else said


def spoken(composition, g):
    """A caption, without its style; None if there is no way to say it."""
    kind, count = composition["kind"], composition["count"]
    named = [noun(name, colour, g)
             for name, colour in zip(composition["things"], composition["colours"])]
    bare = g.random() < 0.25

    def articled_all():
        return [n if bare or name in PLURALS else with_article(n)
                for n, name in zip(named, composition["things"])]

    articled = articled_all()
    if kind == "colour":
        return articled[0] if g.random() < 0.93 else "the " + named[0]
    if kind == "count":
        number = NUMBERS[count] if g.random() < 0.8 else str(count)
        return f"{number} {plural(named[0])}"
    if kind == "pair":
        return articled[0] + str(g.choice([" and ", " and ", " next to ", " with "])) + articled[1]
    if kind == "on":
        return f"{articled[1]} on {articled[0]}"
    if kind == "hat":
        word = str(g.choice([w for w, name in HATS.items() if name == composition["things"][1]]))
        colour = composition["colours"][1]
        worn = with_article(f"{colour} {word}" if colour else word)
        return articled[0] + str(g.choice([" wearing ", " wearing ", " with ", " in "])) + worn
    sizes = ["small", "small"]
    sizes[composition["large"]] = str(g.choice(["large", "big"]))
    named = [f"{size} {n}" for size, n in zip(sizes, named)]
    articled = articled_all()
    return articled[0] + str(g.choice([" and ", " beside ", " next to "])) + articled[1]


def drawn_compositions(things, count, generator, held_out=False):
    """`count` compositions with their captions, from the training or the validation part."""
    found = []
    while len(found) < count:
        composition = drawn_composition(things, generator)
        if is_held_out(composition) == held_out and is_seen_to_be(composition, things):
            caption = spoken(composition, generator)
            found.append(composition | {"caption": caption})
    return found


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--set", type=int, required=True)
    parser.add_argument("--count", type=int, default=40000)
    parser.add_argument("--threads", type=int, default=1)
    k = parser.parse_args()
    torch.set_num_threads(k.threads)
    began, folder = time.time(), Path(k.state) / "composed" / str(k.set)
    things, code = Things(Pictures(k.data, k.state)), loaded_code(k.state)
    compositions = drawn_compositions(things, k.count, np.random.default_rng(k.set))
    print(f"drawn in {time.time() - began:.0f} s", flush=True)
    coordinates = []
    for i in range(0, k.count, 64):
        pixels = np.stack([composed_picture(c, things) for c in compositions[i:i + 64]])
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        coordinates.append(code.coordinates(x).half().numpy())
    print(f"composed in {time.time() - began:.0f} s", flush=True)
    full = [prompt(c["style"], c["caption"]) for c in compositions]
    texts = sorted(set(full))
    row_of = {text: i for i, text in enumerate(texts)}
    hidden, pooled = encoded_texts(texts, shipped_minilm(k.state),
                                   WordPiece(minilm_folder() / "vocab.txt"))
    write_set(folder, np.concatenate(coordinates), np.array([row_of[t] for t in full]),
              [h.numpy() for h in hidden], pooled.numpy(), compositions)
    print(f"{k.count} pictures, {len(texts)} captions in {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

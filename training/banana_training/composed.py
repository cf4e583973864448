"""Makes a set of composed pictures: what teaches the denoiser to combine what it knows.

    python -m banana_training.composed --data stickers.tar.xz --state STATE --set 1 [--count 40000]

Draws compositions (`compositions.py`), composes them, and keeps their latents and the encodings of
their captions in STATE/composed/1. The number seeds the set: another number is another set.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import torch

from .captions import prompt, with_article
from .composed_sets import make_set
from .compositions import KINDS, Things, composed_picture, is_held_out
from .data import Pictures
from .linear_code import loaded_code
from .recolouring import COLOURS
from .things import (ALIASES, COLOURED_NAMES, GROUNDS, HATS, HEADS, PLURALS, THINGS, UNCOUNTED,
                     plural)

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
def composed_part(data, state, seed, count):
    """Compositions and their coordinates [count, tokens, channels] f16."""
    torch.set_num_threads(1)
    things, code = Things(Pictures(data, state)), loaded_code(state)
    compositions = drawn_compositions(things, count, np.random.default_rng(seed))
    coordinates = []
    for i in range(0, count, 64):
        pixels = np.stack([composed_picture(c, things) for c in compositions[i:i + 64]])
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255
        coordinates.append(code.coordinates(x).half().numpy())
    return compositions, np.concatenate(coordinates)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--set", type=int, required=True)
    parser.add_argument("--count", type=int, default=40000)
    parser.add_argument("--part", type=int, default=5000, help="pictures of one process at a time")
    parser.add_argument("--workers", type=int, default=1)
    k = parser.parse_args()
    began, compositions, coordinates = time.time(), [], []
    sizes = [min(k.part, k.count - i) for i in range(0, k.count, k.part)]
    # Forked processes would inherit the threads of PyTorch in any state.
    with ProcessPoolExecutor(k.workers, multiprocessing.get_context("spawn")) as pool:
        jobs = [pool.submit(composed_part, k.data, k.state, [k.set, i], size)
                for i, size in enumerate(sizes)]
        for job in jobs:
            found, z = job.result()
            compositions += found
            coordinates.append(z)
            print(f"{len(compositions)} pictures in {time.time() - began:.0f} s", flush=True)
    full = [prompt(c["style"], c["caption"]) for c in compositions]
    torch.set_num_threads(k.workers)
    make_set(k.state, k.set, np.concatenate(coordinates), full, compositions,
             "cuda" if torch.cuda.is_available() else "cpu")
    print(f"with their captions in {time.time() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()

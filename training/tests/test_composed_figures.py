from types import SimpleNamespace

import numpy as np
import pytest
import torch

from banana_training.composed_figures import Judge, tensor_of
from banana_training.compositions import composed_picture, is_held_out
from banana_training.recolouring import COLOURS

NAMES = ["bat", "bear", "bell", "bird", "bomb", "bus", "cat", "coin", "crab", "deer", "dog", "door"]


class Shapes:
    """Every thing a shape of its own: a red block from which other corners are cut."""

    index = [SimpleNamespace(name=n, style="3d", validation=None) for n in NAMES]

    def __getitem__(self, picture):
        number = NAMES.index(picture.name) + 1
        pixels = np.zeros((256, 256, 4), np.uint8)
        pixels[20:236, 20:236] = (210, 40, 40, 255)
        for bit, (y, x) in enumerate([(20, 20), (20, 166), (166, 20), (166, 166)]):
            if number >> bit & 1:
                pixels[y:y + 70, x:x + 70] = 0
        return pixels


@pytest.fixture(scope="module")
def judge():
    return Judge(Shapes())


@pytest.mark.parametrize("kind", ["colour", "count", "pair"])
def test_true_pictures_show_what_is_asked_for_and_others_do_not(judge, kind):
    found = judge.compositions(kind, 6, held_out=False)
    assert not any(is_held_out(c) for c in found) and len({c["caption"] for c in found}) == 6
    drawn = [tensor_of(composed_picture(c, judge.things)) for c in found]
    figures = judge.figures(kind, drawn, found)
    assert figures["shown"] == figures["trueOnesShown"] == 100
    plain = [tensor_of(composed_picture(c | {
        "kind": "colour", "colours": [None], "things": c["things"][:1], "count": 1},
        judge.things)) for c in found]
    assert judge.figures(kind, plain, found)["shown"] == 0
    blank = [torch.zeros(4, 256, 256)] * 6
    assert judge.figures(kind, blank, found)["shown"] == 0


def test_no_colour_is_the_things_own(judge):
    assert all(c["colours"][0] != "red" and c["colours"][0] in COLOURS
               for c in judge.compositions("colour", 20, held_out=False))


def test_held_out_compositions_are_those_of_the_rule(judge):
    assert all(is_held_out(c) for c in judge.compositions("count", 2))

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from banana_training.composed import drawn_compositions, spoken
from banana_training.composed_sets import ComposedSets, styles_of, write_set
from banana_training.compositions import (KINDS, Things, composed_picture, fitted, is_held_out,
                                          put)
from banana_training.noto_style import noto
from banana_training.recolouring import COLOURS, colour_name, recoloured
from banana_training.things import GROUNDS, HATS, HEADS, THINGS, plural


def ball(rgb=(200, 40, 40), size=256):
    y, x = np.mgrid[:size, :size] - size / 2
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[y ** 2 + x ** 2 < (size * 0.4) ** 2] = (*rgb, 255)
    return pixels


class Balls(dict):
    """Every thing as a ball in a colour of its own."""

    def __init__(self):
        self.index = [SimpleNamespace(name=name, style=style, validation=None)
                      for style in ("3d", "flat") for name in THINGS]

    def __getitem__(self, picture):
        shade = THINGS.index(picture.name) * 37 % 120
        return ball((200, 40 + shade, 40))


@pytest.fixture(scope="module")
def things():
    return Things(Balls())


@pytest.mark.parametrize("colour", COLOURS)
def test_a_recoloured_thing_has_the_colour(colour):
    for own in ((200, 40, 40), (150, 150, 155), (50, 45, 60), (90, 160, 230)):
        assert colour_name(recoloured(ball(own), colour)) == colour


def test_recolouring_keeps_shape_and_other_hues():
    pixels = ball()
    pixels[120:136, 120:136] = (30, 180, 60, 255)
    turned = recoloured(pixels, "blue")
    assert (turned[..., 3] == pixels[..., 3]).all()
    assert np.abs(turned[128, 128, :3].astype(int) - (30, 180, 60)).max() <= 2
    assert (turned[..., :3] <= turned[..., 3:]).all()


def test_putting_is_over_and_clips():
    canvas = np.zeros((8, 8, 4), np.uint8)
    put(canvas, np.full((4, 4, 4), 255, np.uint8), -2, 6)
    assert canvas[:2, 6:, 3].all() and canvas[..., 3].sum() == 4 * 255
    put(canvas, np.full((2, 2, 4), 128, np.uint8), 0, 6)
    assert (canvas[0, 6] == 255).all()


def test_fitting_keeps_aspect_and_colour_below_alpha():
    small = fitted(ball()[20:230, 20:120], 50, 50)
    assert small.shape[0] == 50 and small.shape[1] == 24
    assert (small[..., :3] <= small[..., 3:]).all()


def test_compositions_fill_their_pictures_and_keep_to_their_part(things):
    for held_out in (False, True):
        found = drawn_compositions(things, 60, np.random.default_rng(0), held_out)
        assert {c["kind"] for c in found} == set(KINDS)
        for c in found:
            assert is_held_out(c) == held_out
            pixels = composed_picture(c, things)
            assert pixels.shape == (256, 256, 4) and (pixels[..., :3] <= pixels[..., 3:]).all()
            assert (pixels[..., 3] > 0).mean() > 0.04
            json.dumps(c)


def test_the_split_holds_out_facts_wherever_they_stand():
    plain = {"things": ["dog", "cat"], "colours": [None, None], "count": 1}
    assert is_held_out(plain) == is_held_out(plain | {"things": ["cat", "dog"]})
    held = next(name for name in THINGS if is_held_out(
        {"things": [name], "colours": ["blue"], "count": 1}))
    assert is_held_out({"things": [held, "cat"], "colours": ["blue", None], "count": 1})


def test_what_is_said():
    g = np.random.default_rng(0)
    base = {"style": "3d", "count": 1}
    said = {spoken(base | {"kind": "hat", "things": ["elephant", "top hat"],
                           "colours": ["blue", None]}, g) for _ in range(50)}
    assert "a blue elephant wearing a hat" in said
    said = {spoken(base | {"kind": "count", "things": ["red apple"], "colours": [None],
                           "count": 3}, g) for _ in range(50)}
    assert said == {"three apples", "3 apples"}
    said = {spoken(base | {"kind": "size", "things": ["dog", "unicorn"], "colours": [None, "red"],
                           "large": 0}, g) for _ in range(50)}
    assert "a large dog and a small red unicorn" in said
    assert [plural(n) for n in ("wolf", "cup of coffee", "cherry box", "puppy", "cat face")] == [
        "wolves", "cups of coffee", "cherry boxes", "puppies", "cat faces"]


def test_names_that_are_composed_exist_once():
    assert len(set(THINGS)) == len(THINGS)
    assert {*GROUNDS, *HEADS, *HATS.values()} <= set(THINGS)


def test_sets_come_back_and_are_drawn_from_evenly(tmp_path):
    assert len(ComposedSets(tmp_path)) == 0
    for number in (1, 2):
        hidden = [np.full((length, 6), length, np.float16) for length in (3, 5)]
        write_set(tmp_path / "composed" / str(number), np.full((4, 9, 8), number, np.float16),
                  np.array([0, 1, 1, 0]), hidden, np.zeros((2, 6), np.float16),
                  [{"style": "3d"}, {"style": ["flat", "noto"][number - 1]}] * 2)
    assert styles_of(tmp_path) == ["3d", "flat", "noto"]
    (tmp_path / "composed" / "3.77.part").mkdir()
    sets = ComposedSets(tmp_path)
    coordinates, hidden, pooled, mask = sets.draw(200, np.random.default_rng(0))
    assert len(sets) == 8 and coordinates.shape == (200, 9, 8) and pooled.shape == (200, 6)
    assert {1.0, 2.0} == set(coordinates[:, 0, 0].tolist())
    lengths = mask.sum(1)
    assert set(lengths.tolist()) == {3, 5}
    assert torch.equal(hidden[:, 0, 0].long(), lengths) and not hidden[~mask].any()


def test_a_further_style_fills_its_picture_and_keeps_to_the_split():
    def picture(file, **more):
        return SimpleNamespace(**{"file": file, "toned": False, "validation": None} | more)

    class Font:
        def picture(self, code_points):
            return {0x1f34e: Image.new("RGBA", (136, 128), "red")}.get(code_points[0])

    pictures = SimpleNamespace(by_style={"3d": [
        picture("3d/1f34e.webp"), picture("3d/1f34f.webp"),
        picture("3d/1f34e-1f3fb.webp", toned=True), picture("3d/1f34e-200d.webp", validation="gender")]})
    found = list(noto(pictures, Font()))
    assert [p.file for p, _ in found] == ["3d/1f34e.webp"]
    opaque = found[0][1][..., 3] > 0
    assert opaque.any(0).sum() == 248 and abs(int(opaque.any(1).sum()) - 233) <= 1

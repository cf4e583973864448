#!/usr/bin/env python3
"""Edits pictures and watches them form through the public `openai` client and a real bananad.

    python3 Tests/clients/openai_edits_test.py .build/release/bananad models

Starts the given bananad on a socket of its own. Exits with 0 when every check passes.
"""

import argparse
import base64
import inspect
import io
import sys
import unittest

import openai

from daemon import Daemon
from png import read_png, write_png

OPTIONS = argparse.Namespace()
SIDE = 256
# Enough for three previews.
STEPS = 4
# Pictures are 8-bit and kept as floating point in between: one step of rounding.
KEPT_TOLERANCE = 1


def stripes():
    """An opaque picture in which every pixel tells its place."""
    return [
        b"".join(bytes((x, y, (x ^ y) & 255, 255)) for x in range(SIDE)) for y in range(SIDE)
    ]


def mask(is_drawn):
    """Transparent, which is to be drawn anew, where `is_drawn(x, y)`."""
    return [
        b"".join(b"\0\0\0\0" if is_drawn(x, y) else b"\0\0\0\xff" for x in range(SIDE))
        for y in range(SIDE)
    ]


def file(rows, name):
    return (name, io.BytesIO(write_png(rows)), "image/png")


def difference(one, other, where=lambda x, y: True):
    """Greatest and mean difference of the colours of two opaque pictures."""
    steps = [
        abs(one[y][4 * x + c] - other[y][4 * x + c])
        for y in range(SIDE) for x in range(SIDE) if where(x, y) for c in range(3)
    ]
    return max(steps), sum(steps) / len(steps)


class OpenAIEditsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(OPTIONS.bananad, OPTIONS.models)
        cls.client = cls.daemon.client()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def rows(self, image):
        width, height, rows = read_png(base64.b64decode(image, validate=True))
        self.assertEqual((width, height), (SIDE, SIDE))
        return rows

    def draw(self, prompt="a red apple", **options):
        return self.client.images.generate(
            prompt=prompt, size=f"{SIDE}x{SIDE}", background="opaque",
            extra_body={"seed": 7, "steps": STEPS}, **options,
        )

    def edit(self, rows, prompt="a green apple", strength=None, seed=7, **options):
        body = {"seed": seed, "steps": STEPS, **({"strength": strength} if strength else {})}
        return self.client.images.edit(
            image=file(rows, "image.png"), prompt=prompt, size=f"{SIDE}x{SIDE}",
            background="opaque", extra_body=body, **options,
        )

    def test_image_to_image_changes_as_much_as_is_asked(self):
        apple = self.rows(self.draw().data[0].b64_json)
        means = [
            difference(apple, self.rows(self.edit(apple, strength=s).data[0].b64_json))[1]
            for s in (0.25, 1)
        ]
        self.assertGreater(means[1], means[0], means)
        self.assertGreater(means[1], 4, "the whole strength changes nothing")

    def test_edits_are_reproducible(self):
        image = stripes()
        first, again = self.edit(image), self.edit(image)
        self.assertEqual(first.data[0].b64_json, again.data[0].b64_json)
        self.assertNotEqual(
            first.data[0].b64_json, self.edit(image, seed=8).data[0].b64_json)

    def test_several_pictures_of_one_image(self):
        answer = self.edit(stripes(), n=2)
        self.assertEqual([image.seed for image in answer.data], [7, 8])

    def test_takes_everything_that_the_client_can_send(self):
        known = {
            "background": "opaque", "complexity": "low", "frame_count": 9,
            "frame_duration_ms": 200, "image": [file(stripes(), "1.png"), file(stripes(), "2.png")],
            "input_fidelity": "high", "markup": file(stripes(), "markup.png"),
            "mask": file(mask(lambda x, y: x < 100), "mask.png"), "model": "",
            "n": 1, "output_compression": 100, "output_format": "png", "partial_images": 0,
            "quality": "high", "response_format": "b64_json", "safety_identifier": "me",
            "size": "1024x1024", "stream": False, "svg": {"model": "any", "reasoning": {
                "effort": "low"}}, "user": "me",
        }
        ours = {"self", "prompt", "extra_headers", "extra_query", "extra_body", "timeout"}
        names = set(inspect.signature(self.client.images.edit).parameters) - ours
        self.assertLessEqual(names, set(known), "the client has fields that are not tried here")
        answer = self.client.images.edit(
            prompt="a green apple", **{name: known[name] for name in names})
        warnings = " ".join(answer.warnings)
        for word in ("1024x1024", "image[] after the first", "markup", "input_fidelity", "svg"):
            self.assertIn(word, warnings)

    def test_a_mask_keeps_what_it_covers(self):
        # The edge lies inside of the patches that the model draws.
        def is_drawn(x, y):
            return 101 <= x < 203 and 77 <= y < 190

        image = stripes()
        answer = self.edit(image, mask=file(mask(is_drawn), "mask.png"))
        rows = self.rows(answer.data[0].b64_json)
        kept, _ = difference(image, rows, lambda x, y: not is_drawn(x, y))
        self.assertLessEqual(kept, KEPT_TOLERANCE)
        self.assertGreater(difference(image, rows, is_drawn)[1], 10, "nothing was drawn")

    def test_what_is_no_picture_is_refused(self):
        def refused(param, image=stripes(), **options):
            with self.assertRaises(openai.BadRequestError) as caught:
                self.edit(image, **options)
            self.assertEqual((caught.exception.code, caught.exception.param),
                             ("invalid_request", param))

        refused("mask", mask=("mask.png", io.BytesIO(b"no PNG"), "image/png"))
        refused("mask", mask=file(mask(lambda x, y: False), "mask.png"))
        refused("mask", mask=file([b"\0\0\0\0" * 8] * 8, "mask.png"))
        refused("strength", strength=1.5)
        refused("strength", strength=-1)
        with self.assertRaises(openai.BadRequestError) as caught:
            self.client.images.edit(
                image=("a.png", io.BytesIO(b"no PNG"), "image/png"), prompt="x")
        self.assertEqual(caught.exception.param, "image")

    def watch(self, stream, kind, previews):
        """Checks the order of a stream's events; the last picture's base64 text."""
        events = list(stream)
        partial = [event for event in events if event.type == f"{kind}.partial_image"]
        self.assertEqual([event.partial_image_index for event in partial], list(range(previews)))
        for event in partial:
            width, height, _ = read_png(base64.b64decode(event.b64_json, validate=True))
            self.assertTrue(0 < width <= SIDE and 0 < height <= SIDE)
        self.assertEqual(events[-1].type, f"{kind}.completed")
        self.assertEqual(sum(event.type == f"{kind}.completed" for event in events), 1)
        self.assertLessEqual({event.type for event in events}, {
            "banana.progress", f"{kind}.partial_image", f"{kind}.completed"})
        return events[-1].b64_json

    def test_a_picture_forms_while_it_streams(self):
        picture = self.draw().data[0].b64_json
        for previews in range(4):
            stream = self.draw(stream=True, partial_images=previews)
            self.assertEqual(self.watch(stream, "image_generation", previews), picture)

    def test_an_edit_forms_while_it_streams(self):
        image = stripes()
        picture = self.edit(image, strength=1).data[0].b64_json
        for previews in range(4):
            stream = self.edit(image, strength=1, stream=True, partial_images=previews)
            self.assertEqual(self.watch(stream, "image_edit", previews), picture)

    def test_too_many_previews_are_refused(self):
        with self.assertRaises(openai.BadRequestError) as caught:
            self.draw(stream=True, partial_images=4)
        self.assertEqual(caught.exception.param, "partial_images")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bananad", help="path of the bananad to start")
    parser.add_argument("models", help="folder with the model packages")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])

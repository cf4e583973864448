#!/usr/bin/env python3
"""Draws through the public `openai` client from a real bananad on a Unix socket.

    pip install openai
    python3 Tests/clients/openai_client_test.py .build/release/bananad models [--size 256x256]

Starts the given bananad on a socket of its own with the given models and stops it at the end.
Exits with 0 when every check passes.
"""

import argparse
import base64
import inspect
import sys
import unittest
import urllib.request

import openai

from daemon import Daemon
from png import alphas, read_png, read_png_header

OPTIONS = argparse.Namespace()


class OpenAIClientTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(
            OPTIONS.bananad, OPTIONS.models, {"model_aliases": {"dall-e-3": "sticker"}})
        cls.http, cls.client = cls.daemon.http, cls.daemon.client()

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def draw(self, prompt="a red apple", seed=7, **options):
        body = {"seed": seed, "steps": OPTIONS.steps, **options.pop("extra_body", {})}
        options.setdefault("size", OPTIONS.size)
        return self.client.images.generate(prompt=prompt, extra_body=body, **options)

    def png(self, image):
        return base64.b64decode(image.b64_json, validate=True)

    def test_draws_a_transparent_picture(self):
        answer = self.draw(
            model=self.client.models.list().data[0].id, n=1, background="transparent",
            output_format="png", quality="high", moderation="low", user="test",
        )
        self.assertEqual(len(answer.warnings), 1)
        self.assertIn("quality", answer.warnings[0])
        width, height, rows = read_png(self.png(answer.data[0]))
        self.assertEqual(f"{width}x{height}", OPTIONS.size)
        self.assertEqual((answer.size, answer.background), (OPTIONS.size, "transparent"))
        self.assertLess(min(alphas(rows)), 16, "nothing is transparent")
        self.assertGreater(max(alphas(rows)), 239, "nothing is opaque")
        self.assertEqual(answer.output_format, "png")
        self.assertGreater(answer.created, 1_600_000_000)

    def test_draws_an_opaque_picture(self):
        rows = read_png(self.png(self.draw(background="opaque").data[0]))[2]
        self.assertEqual(min(alphas(rows)), 255)

    def test_draws_the_native_size_without_options(self):
        answer = self.client.images.generate(prompt="a rocket")
        width, height, _ = read_png_header(self.png(answer.data[0]))
        self.assertEqual(f"{width}x{height}", answer.size)

    def test_same_seed_same_picture(self):
        first, again, other = self.draw(seed=7), self.draw(seed=7), self.draw(seed=8)
        self.assertEqual(first.data[0].b64_json, again.data[0].b64_json)
        self.assertNotEqual(first.data[0].b64_json, other.data[0].b64_json)

    def test_several_pictures_are_the_seeds_that_follow(self):
        both, second = self.draw(n=2, seed=7), self.draw(seed=8)
        self.assertEqual([image.seed for image in both.data], [7, 8])
        self.assertEqual(both.data[1].b64_json, second.data[0].b64_json)

    def test_any_unicode(self):
        for prompt in ["红苹果", "\U0001f468\u200d\U0001f680", "e\u0301 \u202e x", "a\x00b"]:
            self.assertEqual(len(self.draw(prompt=prompt).data), 1)

    def test_streams(self):
        events = list(self.draw(stream=True, partial_images=0))
        kinds = [event.type for event in events]
        self.assertEqual(kinds[-1], "image_generation.completed")
        self.assertIn("banana.progress", kinds)
        picture = self.draw().data[0].b64_json
        self.assertEqual(events[-1].b64_json, picture)

    def refused(self, kind, param, **options):
        with self.assertRaises(kind) as caught:
            self.draw(**options)
        self.assertEqual(caught.exception.param, param)
        return caught.exception

    def test_bad_input_has_clear_errors(self):
        bad = openai.BadRequestError
        strict = self.refused(bad, "size", size="1024x1024", extra_body={"strict_size": True})
        self.assertEqual(strict.code, "invalid_request")
        self.refused(bad, "size", size="large")
        self.refused(bad, "prompt", prompt="")
        self.refused(bad, "prompt", prompt=" \n ")
        self.refused(bad, "n", n=11)
        self.refused(bad, "response_format", response_format="ftp")
        self.refused(bad, "output_format", output_format="webp")
        self.refused(bad, "style", extra_body={"style": "no such style"})
        self.refused(bad, "surprise", extra_body={"surprise": 1})
        other = self.refused(bad, "cfg_scale", extra_body={"cfg_scale": 7})
        self.assertIn("guidance", str(other))
        self.refused(bad, "prompt", prompt="an apple <lora:pixel-art:0.8>")
        self.refused(bad, "steps", extra_body={"steps": 0})
        self.refused(openai.NotFoundError, "model", model="dall-e-2")
        long = self.refused(openai.APIStatusError, "prompt", prompt="x" * 4001)
        self.assertEqual((long.status_code, long.code), (413, "request_too_large"))
        self.assertEqual(self.http.get("/healthz").status_code, 200)

    def test_takes_everything_that_the_client_can_send(self):
        known = {
            "background": "auto", "complexity": "low", "frame_count": 9, "frame_duration_ms": 200,
            "model": "", "moderation": "auto", "n": 1, "output_compression": 100,
            "output_format": "png", "partial_images": 0, "quality": "hd",
            "response_format": "b64_json", "safety_identifier": "me", "size": OPTIONS.size,
            "stream": False, "style": "vivid", "svg": {"model": "any"}, "user": "me",
        }
        ours = {"self", "prompt", "extra_headers", "extra_query", "extra_body", "timeout"}
        names = set(inspect.signature(self.client.images.generate).parameters) - ours
        self.assertLessEqual(names, set(known), "the client has fields that are not tried here")
        answer = self.draw(**{name: known[name] for name in names})
        self.assertEqual(len(answer.data), 1)
        self.assertIn("complexity", " ".join(answer.warnings))
        # What it sends for nothing.
        nothing = self.draw(**dict.fromkeys(names - {"stream", "user", "size"}))
        self.assertEqual(nothing.warnings, [])

    def test_draws_the_nearest_size(self):
        answer = self.draw(size="1024x1024")
        self.assertEqual(answer.size, "512x512")
        self.assertIn("1024x1024", answer.warnings[0])

    def test_answers_with_a_url(self):
        url = self.draw(response_format="url").data[0].url
        with urllib.request.urlopen(url) as file:
            self.assertEqual(file.read(), self.png(self.draw().data[0]))

    def test_any_seed(self):
        first = self.draw(seed=-1).data[0]
        self.assertEqual(self.draw(seed=first.seed).data[0].b64_json, first.b64_json)

    def test_aliases(self):
        self.assertEqual(self.draw(model="dall-e-3").model, "sticker")
        alias = self.client.models.retrieve("dall-e-3")
        self.assertEqual((alias.id, alias.alias_of), ("dall-e-3", "sticker"))

    def test_models_and_status(self):
        models = self.client.models.list().data
        self.assertEqual([model.id for model in models[1:]], ["dall-e-3"])
        self.assertEqual(self.client.models.retrieve(models[0].id).id, models[0].id)
        status = self.http.get("/v1/status").json()
        self.assertEqual(status["pid"], self.daemon.process.pid)
        self.assertEqual(status["model"], {"id": models[0].id, "status": "available"})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bananad", help="path of the bananad to start")
    parser.add_argument("models", help="folder with the model packages")
    parser.add_argument("--size", default="256x256", help="size to draw")
    parser.add_argument("--steps", type=int, default=2, help="denoising steps a picture")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])

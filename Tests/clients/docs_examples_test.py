#!/usr/bin/env python3
"""Runs the examples of docs/clients.md against a real bananad.

    python3 Tests/clients/docs_examples_test.py .build/release/bananad models peels docs/clients.md

Starts the given bananad on a socket of its own. Exits with 0 when every example does.
"""

import argparse
import glob
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

from daemon import Daemon

OPTIONS = argparse.Namespace()
PNG = b"\x89PNG\r\n\x1a\n"


def examples(language):
    """The fenced blocks of one language, in the order of the page."""
    with open(OPTIONS.page, encoding="utf-8") as file:
        return re.findall(rf"^```{language}\n(.*?)^```$", file.read(), re.MULTILINE | re.DOTALL)


class DocsExamplesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.daemon = Daemon(OPTIONS.bananad, OPTIONS.models, options=["--peels", OPTIONS.peels])
        cls.environment = {**os.environ, "BANANA_SOCKET": cls.daemon.socket}
        peels = sorted(glob.glob(os.path.join(OPTIONS.peels, "*.safetensors")))
        cls.environment["PEEL"] = peels[0] if peels else ""

    @classmethod
    def tearDownClass(cls):
        cls.daemon.stop()

    def setUp(self):
        self.work = tempfile.mkdtemp(dir=self.daemon.folder.name)

    def run_example(self, command):
        done = subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True,
            timeout=600,
        )
        self.assertEqual(done.returncode, 0, f"{command[-1]}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def assert_pictures(self, *names):
        for name in names:
            with open(os.path.join(self.work, name), "rb") as file:
                self.assertEqual(file.read(8), PNG, name)

    def test_curl(self):
        draw, watch, change, look, peel = examples("bash")
        self.run_example(["bash", "-euo", "pipefail", "-c", draw])
        self.run_example(["bash", "-euo", "pipefail", "-c", change])
        self.assert_pictures("apple.png", "green.png")
        events = self.run_example(["bash", "-euo", "pipefail", "-c", watch])
        self.assertIn("event: banana.progress", events)
        self.assertIn("event: image_generation.partial_image", events)
        self.assertIn("event: image_generation.completed", events)
        self.assertIn('"', self.run_example(["bash", "-euo", "pipefail", "-c", look]))
        if self.environment["PEEL"]:
            self.assertIn("private", self.run_example(["bash", "-euo", "pipefail", "-c", peel]))
            self.assert_pictures("peeled.png")

    def test_python(self):
        client, library = examples("python")
        said = self.run_example([sys.executable, "-c", client])
        self.assertIn("preview 0", said)
        self.assertIn("preview 1", said)
        self.assertIn("400 invalid_request", said)
        self.run_example([sys.executable, "-c", library])
        self.assert_pictures("apple.png", "rocket.png")

    @unittest.skipUnless(shutil.which("node"), "Node is not installed")
    def test_javascript(self):
        (example,) = examples("javascript")
        said = self.run_example(["node", "--input-type=module", "-e", example])
        self.assert_pictures("apple.png")
        self.assertIn("denoise 2 of 2", said)
        self.assertIn("image_generation.partial_image", said)
        self.assertIn("image_generation.completed", said)
        self.assertIn("invalid_request", said)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bananad", type=os.path.abspath, help="path of the bananad to start")
    parser.add_argument("models", type=os.path.abspath, help="folder with the model packages")
    parser.add_argument("peels", type=os.path.abspath, help="folder with the peels that ship")
    parser.add_argument("page", type=os.path.abspath, help="the page with the examples")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])

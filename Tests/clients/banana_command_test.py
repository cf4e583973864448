#!/usr/bin/env python3
"""Runs the `banana` command as people do, with a private bananad (--local).

    python3 Tests/clients/banana_command_test.py .build/release/banana models

The bananad beside the given banana is used. Exits with 0 when every check passes.
"""

import argparse
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
import unittest

OPTIONS = argparse.Namespace()
PNG = b"\x89PNG\r\n\x1a\n"


class BananaCommandTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="banana-")
        self.addCleanup(folder.cleanup)
        self.work = os.path.join(folder.name, "work")
        self.temporary = os.path.join(folder.name, "tmp")
        os.mkdir(self.work)
        os.mkdir(self.temporary)
        self.environment = {**os.environ, "TMPDIR": self.temporary}
        self.environment.pop("BANANA_SOCKET", None)

    def command(self, *arguments):
        return [OPTIONS.banana, "generate", "a red apple", *arguments]

    def local(self, *arguments):
        return self.command("--local", "--models", OPTIONS.models, *arguments)

    def run_banana(self, command):
        return subprocess.run(
            command, cwd=self.work, env=self.environment, capture_output=True, text=True,
            timeout=300,
        )

    def wait(self, condition, seconds=20):
        deadline = time.monotonic() + seconds
        while not condition():
            self.assertLess(time.monotonic(), deadline, "it took too long")
            time.sleep(0.02)

    def daemons(self):
        """The bananads whose socket is in this test's folder."""
        found = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if words[0].endswith(b"bananad") and self.temporary.encode() in b" ".join(words):
                found.append(int(pid))
        return found

    def assert_clean(self):
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertEqual(self.daemons(), [])

    def test_writes_pictures_and_leaves_nothing_behind(self):
        done = self.run_banana(self.local("--count", "2", "--seed", "7", "-o", "apple.png"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(sorted(os.listdir(self.work)), ["apple-1.png", "apple-2.png"])
        for name in os.listdir(self.work):
            with open(os.path.join(self.work, name), "rb") as file:
                self.assertEqual(file.read(8), PNG)
        self.assertIn("apple-1.png", done.stdout)
        self.assertIn("denoise", done.stdout)
        self.assertEqual(done.stderr, "", "a progress bar where there is no terminal")
        self.assert_clean()

    def test_prints_json(self):
        done = self.run_banana(self.local("--seed", "7", "--json"))
        self.assertEqual(done.returncode, 0, done.stderr)
        report = json.loads(done.stdout)
        self.assertEqual(report["files"][0]["seed"], 7)
        path = os.path.join(self.work, report["files"][0]["path"])
        self.assertEqual(os.path.getsize(path), report["files"][0]["bytes"])

    def test_draws_a_progress_bar_on_a_terminal(self):
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            self.local(), cwd=self.work, env=self.environment, stdout=subprocess.DEVNULL,
            stderr=theirs,
        )
        os.close(theirs)
        seen = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:
                break
            if not chunk:
                break
            seen += chunk
        os.close(ours)
        self.assertEqual(process.wait(timeout=60), 0)
        self.assertIn(b"denoise", seen)
        self.assertTrue(seen.endswith(b"\r\x1b[K"), seen[-80:])

    def start_long_job(self):
        process = subprocess.Popen(
            self.local("--steps", "50", "--count", "10"), cwd=self.work, env=self.environment,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        self.addCleanup(process.stderr.close)
        self.wait(lambda: self.daemons() or process.poll() is not None)
        time.sleep(0.3)
        self.assertIsNone(process.poll())
        return process

    def test_ctrl_c_stops_the_daemon_too(self):
        process = self.start_long_job()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=20), 130)
        self.assert_clean()
        self.assertEqual(os.listdir(self.work), [])

    def test_kill_9_leaves_no_daemon(self):
        process = self.start_long_job()
        process.kill()
        process.wait()
        self.wait(lambda: not self.daemons())

    def test_says_how_to_start_a_daemon(self):
        missing = os.path.join(self.temporary, "none.sock")
        done = self.run_banana(self.command("--socket", missing))
        self.assertEqual(done.returncode, 69)
        self.assertIn(f"bananad --socket {missing}", done.stderr)
        self.assertIn("--local", done.stderr)

    def test_says_what_is_wrong_with_the_models(self):
        done = self.run_banana(self.command("--local", "--models", self.work))
        self.assertEqual(done.returncode, 69)
        self.assertIn(self.work, done.stderr)
        self.assert_clean()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("banana", type=os.path.abspath, help="path of the banana to run")
    parser.add_argument("models", type=os.path.abspath, help="folder with the model packages")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])

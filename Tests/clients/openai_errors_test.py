#!/usr/bin/env python3
"""Provokes a real bananad's errors, and looks at them as the public `openai` client shows them.

    python3 Tests/clients/openai_errors_test.py .build/release/bananad models

Starts bananads on sockets of their own. Exits with 0 when every check passes.
"""

import argparse
import sys
import threading
import unittest

import openai

from daemon import Daemon, as_app, wait_for

OPTIONS = argparse.Namespace()
# Takes seconds on the fastest of machines, so that it still runs when it is looked at.
LONG = {"n": 10, "extra_body": {"steps": 50}}


class OpenAIErrorsTest(unittest.TestCase):
    def start(self, **settings):
        daemon = Daemon(OPTIONS.bananad, OPTIONS.models, settings)
        self.addCleanup(daemon.stop)
        return daemon

    def app(self, daemon):
        """A client on a connection of its own, which is not root's."""
        http = daemon.connection()
        with as_app():
            http.get("/healthz")
        return daemon.client(http)

    def test_over_a_quota(self):
        client = self.app(self.start(requests_per_minute=2))
        for _ in range(2):
            client.images.generate(prompt="a red apple")
        with self.assertRaises(openai.RateLimitError) as caught:
            client.images.generate(prompt="a red apple")
        error = caught.exception
        self.assertEqual((error.status_code, error.code), (429, "quota_exceeded"))
        self.assertEqual(error.type, "rate_limit_error")
        self.assertTrue(1 <= int(error.response.headers["retry-after"]) <= 60)

    def test_a_full_queue(self):
        daemon = self.start(queue_capacity=1)
        streams = [daemon.client(daemon.connection()).images.generate(
            prompt="a red apple", stream=True, **LONG)]
        wait_for(lambda: [job["state"] for job in daemon.jobs()] == ["running"], "the first job")
        # Of another shape, or it might be drawn in one pass with the first.
        streams.append(daemon.client(daemon.connection()).images.generate(
            prompt="a red apple", stream=True, n=10, extra_body={"steps": 49}))
        wait_for(lambda: len(daemon.jobs()) == 2, "the second job")
        with self.assertRaises(openai.InternalServerError) as caught:
            daemon.client().images.generate(prompt="a red apple")
        error = caught.exception
        self.assertEqual((error.status_code, error.code), (503, "busy"))
        self.assertEqual(error.type, "rate_limit_error")
        self.assertGreaterEqual(int(error.response.headers["retry-after"]), 1)
        for stream in streams:
            stream.close()
        wait_for(lambda: daemon.jobs() == [], "an empty queue")

    def test_the_client_tries_again_when_it_is_told_to(self):
        daemon = self.start(queue_capacity=1)
        streams = []
        for steps in (50, 49):
            streams.append(daemon.client(daemon.connection()).images.generate(
                prompt="a red apple", stream=True, n=10, extra_body={"steps": steps}))
            wait_for(lambda: len(daemon.jobs()) == len(streams), "a job")
        answers = []
        patient = daemon.client(daemon.connection()).with_options(max_retries=8)
        thread = threading.Thread(
            target=lambda: answers.append(patient.images.generate(prompt="a red apple")))
        thread.start()
        for stream in streams:
            stream.close()
        thread.join(timeout=120)
        self.assertEqual(len(answers), 1, "the client gave up")

    def test_closing_a_stream_cancels_its_job(self):
        daemon = self.start()
        stream = daemon.client(daemon.connection()).images.generate(
            prompt="a red apple", stream=True, partial_images=1, **LONG)
        job = next(event for event in stream if event.type == "banana.progress").job
        self.assertEqual([known["id"] for known in daemon.jobs()], [job])
        stream.close()
        wait_for(lambda: daemon.jobs() == [], "the end of the cancelled job", seconds=10)
        metrics = daemon.http.get("/metrics").text
        self.assertIn('banana_jobs_total{code="cancelled"} 1', metrics)
        self.assertEqual(daemon.http.get(f"/v1/jobs/{job}").json()["error"]["code"],
                         "job_not_found")

    def test_cancelling_by_name_ends_the_stream_with_an_error(self):
        daemon = self.start()
        stream = daemon.client(daemon.connection()).images.generate(
            prompt="a red apple", stream=True, **LONG)
        job = next(event for event in stream if event.type == "banana.progress").job
        self.assertEqual(daemon.http.delete(f"/v1/jobs/{job}").status_code, 200)
        with self.assertRaises(openai.APIError) as caught:
            list(stream)
        self.assertEqual(caught.exception.code, "cancelled")

    def test_every_status_has_its_exception(self):
        client = self.start().client()
        for kind, status, code, request in [
            (openai.BadRequestError, 400, "invalid_request", {"size": "small"}),
            (openai.NotFoundError, 404, "model_not_found", {"model": "dall-e-3"}),
            (openai.NotFoundError, 404, "peel_not_found", {"extra_body": {"peels": ["none"]}}),
            (openai.APIStatusError, 413, "request_too_large", {"prompt": "x" * 4001}),
            (openai.InternalServerError, 504, "deadline_exceeded",
             {"extra_body": {"deadline_seconds": 0.001}}),
        ]:
            with self.subTest(code=code), self.assertRaises(kind) as caught:
                client.images.generate(**{"prompt": "a red apple", **request})
            self.assertEqual((caught.exception.status_code, caught.exception.code),
                             (status, code))
        with self.assertRaises(openai.NotFoundError):
            client.models.retrieve("dall-e-3")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bananad", help="path of the bananad to start")
    parser.add_argument("models", help="folder with the model packages")
    OPTIONS, rest = parser.parse_known_args()
    unittest.main(argv=[sys.argv[0], *rest])

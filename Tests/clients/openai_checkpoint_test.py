#!/usr/bin/env python3
"""Takes a checkpoint and a LoRA from their files to pictures, by the public `openai` client.

    python3 Tests/clients/openai_checkpoint_test.py BINARIES models CHECKPOINT LORA [--measure]

BINARIES holds bananad and banana; CHECKPOINT is what `banana model import` takes. A bananad that
runs already gets the model, draws with it and without it, for one user and for two, and gives its
memory back. Prints what each took; exits with 0 when every check passes. With --measure, for
checkpoints of full size on a machine that is at rest, times are checked too.
"""

import argparse
import base64
import contextlib
import os
import statistics
import subprocess
import tempfile
import threading
import time

import openai

from daemon import APP_USERS, Daemon, as_app, wait_for
from png import read_png, read_png_header

NAME = "checkpoint"
# How the LoRA is drawn with: as those of latent consistency models are.
FEW = {"steps": 4, "sampler": "lcm", "guidance": 1, "seed": 7}
PROMPT = "a lighthouse on a cliff at dusk"
TURN = 0.5  # seconds, the setting's default
MEBI = 1 << 20


class Checkpoint:
    """One daemon, and what is known of its checkpoint's pictures by now."""

    def __init__(self, options, imported):
        self.options, self.imported = options, imported
        self.daemon = Daemon(
            os.path.join(options.binaries, "bananad"), f"{imported}:{options.models}",
            {"idle_unload_seconds": 2})
        self.http, self.client = self.daemon.http, self.daemon.client()

    # What others ask with.

    def banana(self, *words):
        """Runs the command; its seconds, and the most that it had in memory."""
        began = time.monotonic()
        process = subprocess.Popen(
            [os.path.join(self.options.binaries, "banana"), "model", *words],
            stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"banana model {words[0]} failed"
        return time.monotonic() - began, usage.ru_maxrss * 1024

    def status(self):
        return self.http.get("/v1/status").json()

    def resident(self):
        return self.status()["memory"]["resident_bytes"]

    def model(self):
        return self.client.models.retrieve(NAME)

    def draw(self, client=None, model=NAME, n=1, **fields):
        return (client or self.client).images.generate(
            prompt=PROMPT, model=model, n=n, extra_body={**FEW, **fields})

    def stream(self, **fields):
        """The events of a picture, each with the seconds since the request."""
        began = time.monotonic()
        stream = self.daemon.client(self.daemon.connection()).images.generate(
            prompt=PROMPT, model=NAME, stream=True, n=fields.pop("n", 1),
            extra_body={**FEW, **fields})
        for event in stream:
            yield time.monotonic() - began, event

    def sticker(self, client=None, size="auto", **fields):
        return (client or self.client).images.generate(
            prompt="a red apple", model="sticker", size=size, extra_body={"seed": 1, **fields})

    def hold(self, seconds, most, what):
        """Times are only checked where they mean something."""
        if self.options.measure:
            assert seconds <= most, f"{what} took {seconds:.2f} s, at most {most:.2f} s are right"

    # What is checked, in this order: each gives rows of the table.

    def is_imported(self):
        self.sticker()
        self.before = self.at_rest()
        yield "resident before, `sticker` open", mebibytes(self.before)
        seconds, peak = self.banana(
            "import", self.options.checkpoint, "--name", NAME, "--quantize", "w8a8", "--to",
            self.imported)
        yield "import", f"{seconds:.1f} s, {peak >> 20} MiB at most"
        names = [model.id for model in self.client.models.list()]
        assert sorted(names) == [NAME, "sticker"], names
        assert self.model().state == "closed"
        yield "a daemon that runs shows it", "yes"

    def is_drawn_with_a_lora(self):
        with open(self.options.lora, "rb") as file:
            content = file.read()
        began = time.monotonic()
        answer = self.http.post(
            "/v1/peels", params={"name": "few-steps"}, content=content,
            headers={"content-type": "application/octet-stream"})
        assert answer.status_code in (200, 201), answer.text
        assert NAME in answer.json()["models"], answer.text
        yield "LoRA installed", f"{time.monotonic() - began:.1f} s, {len(content) >> 20} MiB"
        with self.most_resident() as most:
            first = self.draw(peels=["few-steps"])
            began = time.monotonic()
            self.opened = self.draw(peels=["few-steps"])
            self.alone = time.monotonic() - began
        self.size = self.model().native_size
        assert first.size == self.opened.size == self.size, first.size
        assert first.model == NAME and first.data[0].seed == FEW["seed"]
        assert self.opened.data[0].b64_json == first.data[0].b64_json, "drawn again, it is another"
        width, height, rows = read_png(base64.b64decode(first.data[0].b64_json))
        assert f"{width}x{height}" == self.size
        assert len(set(rows)) > height / 2, "the picture is empty"
        timings = self.opened.timings
        yield f"a picture of {self.size} in {FEW['steps']} steps", (
            f"{self.alone:.2f} s: steps {timings['denoise_seconds']:.2f}, "
            f"decoder {timings['decode_seconds']:.2f}")
        yield "the first, whose model and LoRA were opened, longer by", (
            f"{first.timings['total_seconds'] - timings['total_seconds']:.2f} s")
        yield "resident at most", mebibytes(most[0])
        (applied,) = self.opened.peels
        assert (applied["name"], applied["strength"]) == ("few-steps", 1), applied
        assert applied["layers"] > 0
        plain = self.draw()
        assert not getattr(plain, "peels", None)
        assert plain.data[0].b64_json != first.data[0].b64_json, "the LoRA changes nothing"
        yield "layers that the LoRA changed", applied["layers"]

    def is_cancelled(self):
        # Hardly drawn at once, on the fastest of machines.
        events = self.stream(steps=50, n=1 if self.options.measure else 10)
        times = []
        for at, event in events:
            if event.type == "banana.progress" and event.stage == "denoise":
                times.append(at)
            if len(times) == 4:
                break
        began = time.monotonic()
        answer = self.http.delete(f"/v1/jobs/{event.job}")
        answered = time.monotonic() - began
        assert answer.status_code == 200, answer.text
        try:
            raise AssertionError(f"a cancelled job's stream ended with {list(events)[-1]}")
        except openai.APIError as error:
            assert error.code == "cancelled", error
        ended = time.monotonic() - began
        wait_for(lambda: self.status()["running_jobs"] == 0, "an engine that is free")
        free = time.monotonic() - began
        gone = self.http.get(f"/v1/jobs/{event.job}").json()["error"]["code"]
        assert gone == "job_not_found", gone
        self.step = statistics.median(b - a for a, b in zip(times, times[1:]))
        yield "a step of it", f"{self.step:.3f} s"
        yield "the first of them begins after", f"{times[0]:.3f} s"
        yield "cancelled: answered, stream ended, engine free", (
            f"{answered:.3f}, {ended:.3f}, {free:.3f} s")
        self.hold(times[0], 1 + self.step, "the way to the first step")
        self.hold(free, self.step + 0.25, "a cancelled job's way out of the engine")

    def is_switched(self):
        began = time.monotonic()
        picture = self.sticker()
        assert picture.model == "sticker"
        read_png_header(base64.b64decode(picture.data[0].b64_json))
        self.sticker_alone = time.monotonic() - began
        back = self.draw(peels=["few-steps"])
        assert back.data[0].b64_json == self.opened.data[0].b64_json, "it is another picture now"
        yield "`sticker` in between", f"{self.sticker_alone:.2f} s"
        yield "and back, the same picture", f"{back.timings['total_seconds']:.2f} s"

    def refuses_a_wrong_size(self):
        width, height = map(int, self.size.split("x"))
        wrong = f"{width + 3}x{height - 2}"
        try:
            self.client.images.generate(
                prompt=PROMPT, model=NAME, size=wrong, extra_body={"strict_size": True})
            raise AssertionError(f"{wrong} was drawn")
        except openai.BadRequestError as error:
            assert error.param == "size" and self.size in str(error), error
        yield f"{wrong}, strictly", f"refused, naming {self.size}"

    def serves_two_users(self):
        done = []

        def ask(user, draw):
            began = time.monotonic()
            draw()
            done.append((user, time.monotonic() - began))

        threads = []
        # Of different steps, so that no two are drawn together.
        count = 1 if self.options.measure else 10
        for index in range(3):
            first, second = self.app(APP_USERS[0]), self.app(APP_USERS[1])
            threads += [
                threading.Thread(target=ask, args=("first", lambda f=first, i=index: self.draw(
                    f, n=count, steps=(4 if self.options.measure else 16) + i))),
                threading.Thread(target=ask, args=("second", lambda s=second, i=index: (
                    self.sticker(s, size="256x256", steps=2 + i)))),
            ]
        # First the one whose pictures take long, then the other beside it.
        for thread in threads[::2]:
            thread.start()
        wait_for(lambda: self.waiting() == 3, "three jobs of one user")
        for thread in threads[1::2]:
            thread.start()
        for thread in threads:
            thread.join(timeout=600)
        assert sorted(user for user, _ in done) == ["first"] * 3 + ["second"] * 3, done
        times = {user: [at for who, at in done if who == user] for user in ("first", "second")}
        order = [user for user, _ in done]
        assert order[-1] == "first", "who asks for little waited until all was drawn"
        for user, model in (("first", NAME), ("second", "sticker")):
            yield f"with another waiting: three of `{model}` after", (
                ", ".join(f"{at:.2f}" for at in sorted(times[user])) + " s")
        # A turn, and what is under way when it ends: a step or the decoder.
        piece = TURN + max(self.step, self.opened.timings["decode_seconds"])
        self.hold(min(times["second"]), 2 * piece + self.sticker_alone, "the first of `sticker`")
        self.hold(max(times["second"]), 3 * (2 * piece + self.sticker_alone), "three of `sticker`")
        self.hold(
            max(times["first"]), 1.3 * (4 * self.alone + 3 * self.sticker_alone),
            "three pictures beside another user's")

    def waiting(self):
        status = self.status()
        return status["queue_depth"] + status["running_jobs"]

    def app(self, user):
        """A client on a connection of another user's."""
        http = self.daemon.connection()
        with as_app(user):
            http.get("/healthz")
        return self.daemon.client(http)

    def gives_its_memory_back(self):
        weights = next(
            model["weight_bytes"] for model in self.status()["models"] if model["id"] == NAME)
        mapped = weights + os.path.getsize(self.options.lora)
        idle = self.at_rest()
        yield "resident when it rests, of that weights and LoRA, mapped", (
            f"{mebibytes(idle)}, {mebibytes(mapped)}")
        assert idle < self.before + mapped + 64 * MEBI, (idle, self.before)
        assert self.http.delete("/v1/peels/few-steps").status_code in (200, 204)
        self.banana("remove", NAME, "--from", self.imported)
        names = [model.id for model in self.client.models.list()]
        assert names == ["sticker"], names
        removed = self.at_rest()
        yield "resident after `banana model remove`", mebibytes(removed)
        assert removed < self.before + 32 * MEBI, (removed, self.before)
        self.sticker()

    def at_rest(self):
        """What is in memory when nothing was asked for until nothing more is given back."""
        time.sleep(2.5)
        sizes = [self.resident()]
        while len(sizes) < 3 or sizes[-1] < sizes[-3] - MEBI:
            time.sleep(0.5)
            sizes.append(self.resident())
        return sizes[-1]

    @contextlib.contextmanager
    def most_resident(self):
        most, http, done = [0], self.daemon.connection(), threading.Event()

        def watch():
            while not done.wait(0.05):
                memory = http.get("/v1/status").json()["memory"]
                most[0] = max(most[0], memory["resident_bytes"])

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield most
        finally:
            done.set()
            thread.join()


def mebibytes(count):
    return f"{count / MEBI:.0f} MiB"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("binaries", help="folder of bananad and banana")
    parser.add_argument("models", help="folder with the model packages that ship")
    parser.add_argument("checkpoint", help="what is imported")
    parser.add_argument("lora", help="a LoRA for it")
    parser.add_argument("--measure", action="store_true", help="check times too")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="banana-models-") as imported:
        run = Checkpoint(options, imported)
        try:
            print("| what | |\n| --- | --- |")
            for check in (run.is_imported, run.is_drawn_with_a_lora, run.is_cancelled,
                          run.is_switched, run.refuses_a_wrong_size, run.serves_two_users,
                          run.gives_its_memory_back):
                for what, figure in check():
                    print(f"| {what} | {figure} |", flush=True)
        finally:
            run.daemon.stop()


if __name__ == "__main__":
    main()

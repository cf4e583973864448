"""What every training run shares: wall-clock schedule, EMA, checkpoints that survive a kill."""

import json
import os
import signal
import time
from datetime import datetime, timedelta, timezone
from pathlib import Path

import numpy as np
import torch

REPORTED_SECONDS = 60
SAVED_SECONDS = 180
WARMUP_STEPS = 100


def deadline(text):
    """Seconds since the epoch of the next `HH:MM` (UTC), or of `+SECONDS` from now."""
    if text.startswith("+"):
        return time.time() + float(text[1:])
    hour, minute = map(int, text.split(":"))
    now = datetime.now(timezone.utc)
    end = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    if end <= now:
        end += timedelta(days=1)
    return end.timestamp()


def rate_factor(step, warmup, progress, decay_from):
    """Warm-up, then constant, then linear to zero over the last part of the wall clock."""
    factor = min(1.0, (step + 1) / warmup)
    if progress > decay_from:
        factor *= max(0.0, (1.0 - progress) / (1.0 - decay_from))
    return factor


def save_atomically(state, path):
    """Writes beside and renames, so that a kill never leaves half a checkpoint."""
    beside = Path(f"{path}.{os.getpid()}.part")
    torch.save(state, beside)
    os.replace(beside, path)


def save_json(value, path):
    """Writes beside and renames."""
    beside = Path(f"{path}.{os.getpid()}.part")
    beside.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(beside, path)


class Ema:
    """An exponential moving average of parameters, in f32, with a short warm-up."""

    def __init__(self, parameters, decay):
        self.decay = decay
        self.steps = 0
        self.average = [p.detach().clone().float() for p in parameters]

    @torch.no_grad()
    def update(self, parameters):
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self.average, [p.detach() for p in parameters], 1 - decay)

    def state_dict(self):
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state):
        self.steps = state["steps"]
        for own, stored in zip(self.average, state["average"]):
            own.copy_(stored)

    @torch.no_grad()
    def copy_to(self, parameters):
        for p, average in zip(parameters, self.average):
            p.copy_(average)


class Interrupt:
    """Becomes true on SIGTERM or SIGINT, so that the loop saves and ends between two steps."""

    def __init__(self):
        self.requested = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._request)

    def _request(self, number, frame):
        self.requested = True

    def __bool__(self):
        return self.requested


def train(run, k):
    """Steps until the time or the number of steps is reached, or a signal comes."""
    begin, end = time.time(), deadline(k.until)
    first, saved, reported, since = run.step, begin, begin, run.step
    interrupt, figures = Interrupt(), []
    while not interrupt and time.time() < end and run.step < k.steps:
        progress = max((time.time() - begin) / (end - begin),
                       (run.step + 1 - first) / (k.steps - first))
        factor = rate_factor(run.step, WARMUP_STEPS, progress, k.decay_from)
        figures.append(run.advance(factor, progress))
        now = time.time()
        if now - reported > REPORTED_SECONDS:
            loss, error = np.mean(figures, 0)
            print(f"{datetime.now(timezone.utc):%m-%d %H:%M} {run.step} seen {run.seen} "
                  f"loss {loss:.4f} clean error {error:.4f} "
                  f"{(run.step - since) * k.batch / (now - reported):.1f} pictures/s", flush=True)
            figures, since, reported = [], run.step, now
        if now - saved > SAVED_SECONDS:
            run.save()
            saved = now
    run.save()

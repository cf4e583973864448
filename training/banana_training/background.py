"""Starts the denoiser's training in the background, where it yields to everything else.

    python -m banana_training.background --state STATE -- --data stickers.tar.xz [options]

It goes on from STATE/denoiser.pt, writes to STATE/denoiser.log and its process to
STATE/denoiser.pid, and survives the shell that started it. SIGTERM saves and ends it. What stands
behind `--` goes to `train_denoiser`. Nothing happens if it is running already.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

MODULE = "banana_training.train_denoiser"


def running(path):
    """The process in the file if it is a training run that is alive, else None."""
    try:
        process = int(path.read_text())
        command = Path(f"/proc/{process}/cmdline").read_bytes()
        return process if MODULE.encode() in command else None
    except (OSError, ValueError):
        return None


def started(state, niceness, arguments):
    """Starts a run in a session of its own and gives its process."""
    with open(state / "denoiser.log", "ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-m", MODULE, "--state", str(state), *arguments], stdout=log,
            stderr=log, stdin=subprocess.DEVNULL, start_new_session=True,
            cwd=Path(__file__).parents[1],
            # Threads that wait give up their core instead of spinning on it.
            env=os.environ | {"OMP_WAIT_POLICY": "passive"})
    (state / "denoiser.pid").write_text(f"{child.pid}\n")
    group = Path(f"/proc/{child.pid}/autogroup")
    if group.exists():
        group.write_text(f"{niceness}\n")
    return child.pid


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", required=True)
    parser.add_argument("--niceness", type=int, default=10,
                        help="of the scheduler's automatic group: at 10 a tenth of the weight of "
                        "anything else that wants the cores, at 5 a third, at 0 the same")
    parser.add_argument("arguments", nargs="*", help="of train_denoiser, behind --")
    k = parser.parse_args()
    state = Path(k.state)
    state.mkdir(parents=True, exist_ok=True)
    process = running(state / "denoiser.pid")
    if process:
        print(f"process {process} is running already")
    else:
        process = started(state, k.niceness, k.arguments)
        print(f"process {process} writes to {state / 'denoiser.log'}")


if __name__ == "__main__":
    main()

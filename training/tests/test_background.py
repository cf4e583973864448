import os
import subprocess
import sys
import time
from pathlib import Path

from banana_training import background


def test_it_starts_once_and_says_where(tmp_path, monkeypatch, capsys):
    stand_in = tmp_path / "package"
    (stand_in / "banana_training").mkdir(parents=True)
    (stand_in / "banana_training" / "__init__.py").touch()
    (stand_in / "banana_training" / "train_denoiser.py").write_text(
        "import sys, time\nprint(sys.argv[1:], flush=True)\ntime.sleep(60)\n")
    monkeypatch.setattr(background, "__file__", str(stand_in / "banana_training" / "background.py"))
    state = tmp_path / "state"
    monkeypatch.setattr(sys, "argv", ["background", "--state", str(state), "--", "--data", "x"])
    background.main()
    process = int((state / "denoiser.pid").read_text())
    try:
        log = state / "denoiser.log"
        while "--data" not in log.read_text():
            time.sleep(0.05)
        assert os.getsid(process) == process
        background.main()
        assert int((state / "denoiser.pid").read_text()) == process
        assert f"process {process} is running already" in capsys.readouterr().out
        group = Path(f"/proc/{process}/autogroup")
        assert not group.exists() or group.read_text().endswith("nice 10\n")
    finally:
        os.kill(process, 15)
        os.waitpid(process, 0)
    assert background.running(state / "denoiser.pid") is None


def test_another_process_of_that_number_is_not_a_run(tmp_path):
    other = subprocess.Popen(["sleep", "30"])
    (tmp_path / "denoiser.pid").write_text(str(other.pid))
    assert background.running(tmp_path / "denoiser.pid") is None
    other.kill()
    other.wait()

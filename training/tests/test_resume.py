from types import SimpleNamespace

import torch

from banana_training.train_denoiser import Run, parsed


class Examples:
    mean, divisor, composed = torch.zeros(8), torch.ones(8), ()
    latents = torch.randn(5, 1, 8, generator=torch.Generator().manual_seed(0)).repeat(1, 64, 1)

    def draw(self, count, generator):
        rows = torch.from_numpy(generator.integers(5, size=count))
        return rows, rows


def texts(captions):
    generator = torch.Generator().manual_seed(1)
    hidden = torch.randn(5, 3, 384, generator=generator)
    return hidden[captions], hidden.mean(1)[captions], torch.ones(len(captions), 3).bool()


def steps(folder, count):
    folder.mkdir(exist_ok=True)
    k = parsed(["--data", "", "--state", str(folder), "--batch", "4", "--width", "32", "--heads",
                "2", "--layers", "1", "--hidden-width", "32", "--precision", "f32"])
    run = Run(k, Examples(), SimpleNamespace(batch=texts), torch.device("cpu"))
    losses = [run.advance(1.0)[0] for _ in range(count)]
    run.save()
    return run, losses


def test_a_resumed_run_takes_the_same_steps(tmp_path):
    whole, expected = steps(tmp_path / "whole", 6)
    _, first = steps(tmp_path / "parts", 3)
    resumed, second = steps(tmp_path / "parts", 3)
    assert first + second == expected and resumed.step == 6
    for a, b in zip(whole.ema.average, resumed.ema.average):
        assert torch.equal(a, b)


def test_training_lowers_the_loss(tmp_path):
    _, losses = steps(tmp_path / "run", 60)
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])

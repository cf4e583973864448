from types import SimpleNamespace

import torch

from banana_training.refiner import Refiner, RefinerConfiguration
from banana_training.train_refiner import (RefinerRun, charbonnier, edge_loss, gain, parsed,
                                           trained_refiner)


class Blurred:
    """Opaque discs and what a blur makes of them."""

    latents = torch.arange(6.0)[:, None, None].repeat(1, 4, 2)
    held_out = [4, 5]

    def example(self, generator, noise, drawn):
        row = int(generator.integers(4))
        return row, self.latents[row]

    def decoded(self, latents):
        return torch.stack([self.pair(int(z[0, 0]))[0] for z in latents])

    def truth(self, row):
        return self.pair(row)[1]

    def pair(self, row):
        y, x = torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij")
        inside = ((y - 14 - row % 3) ** 2 + (x - 12 - row) ** 2 < 60).float()
        truth = torch.stack([inside * 0.9, inside * 0.2, inside * 0.1 * row, inside])
        blurred = torch.nn.functional.avg_pool2d(truth[None], 3, 1, 1, count_include_pad=False)[0]
        return blurred, truth


def run_in(folder):
    k = parsed(["--data", "", "--state", str(folder), "--batch", "4", "--fine-width", "8",
                "--coarse-width", "16", "--blocks", "1", "--rate", "3e-3"])
    return RefinerRun(k, Blurred(), torch.device("cpu"))


def test_it_starts_as_the_identity_and_takes_any_multiple_of_four():
    x = torch.rand(2, 4, 20, 36)
    assert torch.equal(Refiner(RefinerConfiguration(4, 8, 8, 1))(x), x)


def test_operations_are_those_of_the_layers_and_within_the_budget():
    refiner, counted = Refiner(), []
    for module in refiner.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(lambda m, _, y: counted.append(
                2 * m.weight.numel() * y.shape[-1] * y.shape[-2]))
    refiner(torch.zeros(1, 4, 64, 64))
    assert sum(counted) == refiner.configuration.operations(64)
    assert refiner.configuration.operations(512) < 6e9


def test_the_loss_sees_edges_that_pixels_hardly_show():
    truth = torch.zeros(1, 4, 32, 32)
    smooth, mottled = torch.full_like(truth, 0.05), torch.full_like(truth, 0.05)
    mottled[..., ::2] *= -1
    assert charbonnier(smooth) == charbonnier(mottled)
    assert edge_loss(mottled, truth) > 1.5 * edge_loss(smooth, truth)
    assert edge_loss(truth, truth).abs() < 1e-6


def test_it_learns_to_sharpen_and_resumes(tmp_path):
    run = run_in(tmp_path)
    losses = [run.advance(1.0)[0] for _ in range(100)]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])
    run.save()
    again = run_in(tmp_path)
    assert again.step == 100 and again.advance(1.0) == run.advance(1.0)
    decoded, refined = gain(trained_refiner(tmp_path), Blurred())
    assert refined > decoded + 0.5

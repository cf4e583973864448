"""Retrieval: does a generated picture look most like the picture that its caption names?

Pictures are put on white and shrunk to 32×32; the nearest of a gallery is found by L2.
"""

import torch

SIDE = 32


def thumbnails(pixels):
    """Premultiplied RGBA [n, 4, h, w] in 0...1 to [n, 32, 32, 3] on white (a box filter)."""
    pixels = pixels.float().clamp(0, 1)
    white = pixels[:, :3] + (1 - pixels[:, 3:])
    small = torch.nn.functional.adaptive_avg_pool2d(white, SIDE)
    return small.clamp(0, 1).permute(0, 2, 3, 1).contiguous()


def squared_distances(generated, gallery):
    """[n, m] squared L2 of [n, 32, 32, 3] to [m, 32, 32, 3], in f64: ties stay exact."""
    a, b = generated.flatten(1).double(), gallery.flatten(1).double()
    return a.square().sum(1)[:, None] + b.square().sum(1) - 2 * a @ b.t()


def retrieval(generated, truth_index, gallery):
    """Shares of [n] generated pictures whose truth is the nearest, and among the five nearest.

    generated [n, 32, 32, 3], truth_index [n] (rows of the gallery), gallery [m, 32, 32, 3].
    A gallery picture equal to the truth never counts as nearer than it: only strictly smaller
    distances rank before the truth.
    """
    if len(generated) == 0:
        raise ValueError("retrieval of no pictures")
    truth = torch.as_tensor(truth_index, dtype=torch.long)
    distances = squared_distances(torch.as_tensor(generated), torch.as_tensor(gallery))
    own = distances.gather(1, truth[:, None])
    before = (distances < own - 1e-9).sum(1)
    return (before < 1).double().mean().item(), (before < 5).double().mean().item()

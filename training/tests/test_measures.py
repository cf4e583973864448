import pytest
import torch

from banana_training.measures import (edges, halves, main_colour, nearest, parts, psnr,
                                      seam_figure, seam_sums)
from banana_training.retrieval import thumbnails


def picture(*boxes, size=64):
    """Opaque boxes (top, left, height, width, colour) on clear ground."""
    x = torch.zeros(4, size, size)
    for top, left, h, w, colour in boxes:
        x[:3, top:top + h, left:left + w] = torch.tensor(colour)[:, None, None]
        x[3, top:top + h, left:left + w] = 1
    return x


RED, BLUE, GREEN = (0.85, 0.15, 0.15), (0.2, 0.4, 0.85), (0.2, 0.65, 0.3)


def test_seams_are_steps_at_borders_of_patches_where_the_truth_is_flat():
    truth = picture((0, 0, 64, 64, RED))
    noise = 0.01 * torch.randn(4, 64, 64, generator=torch.Generator().manual_seed(0))
    assert seam_figure(seam_sums(truth + noise, truth, 16)) == pytest.approx(1, abs=0.1)
    offset = torch.randn(1, 4, 1, 4, 1, generator=torch.Generator().manual_seed(1))
    blocks = truth + noise
    blocks[:3] += 0.1 * offset.expand(3, 4, 16, 4, 16).reshape(3, 64, 64)
    assert seam_figure(seam_sums(blocks, truth, 16)) > 3
    edge = picture((0, 0, 64, 32, RED), (0, 32, 64, 32, BLUE))
    assert seam_figure(seam_sums(edge + noise, edge, 16)) == pytest.approx(1, abs=0.1)


def test_detail_and_psnr():
    x = torch.rand(4, 64, 64, generator=torch.Generator().manual_seed(0))
    x[3] = 1
    blurred = torch.nn.functional.avg_pool2d(x[None], 3, 1, 1)[0]
    assert edges(blurred) < 0.5 * edges(x)
    assert psnr(x, x) == 100 and psnr(x + 0.1, x) == pytest.approx(20, abs=0.01)


def test_colour_is_that_of_most_of_the_picture():
    assert main_colour(picture((0, 0, 40, 40, BLUE), (45, 45, 10, 10, RED))) == "blue"
    assert main_colour(picture((0, 0, 20, 20, BLUE), (30, 0, 30, 60, RED))) == "red"
    assert main_colour(torch.zeros(4, 8, 8)) is None


def test_parts_are_counted_without_crumbs():
    boxes = [(4, 4, 12, 12, RED), (4, 40, 12, 12, RED), (40, 20, 14, 14, RED)]
    for count in range(4):
        assert parts(picture(*boxes[:count])) == count
    assert parts(picture(*boxes, (60, 60, 2, 2, RED))) == 3


def test_halves_are_found_in_a_gallery():
    shapes = [picture((10, 20, 40, 20, RED)), picture((20, 20, 20, 26, BLUE)),
              picture((20, 20, 20, 26, GREEN))]
    gallery = thumbnails(torch.stack(shapes))
    both = torch.cat([shapes[2][..., 16:48], shapes[0][..., 16:48]], -1)
    assert nearest(halves(both), gallery) == [2, 0]

import pytest
import torch

from banana_training.retrieval import retrieval, thumbnails


def gallery():
    return torch.rand(7, 32, 32, 3, generator=torch.Generator().manual_seed(0))


def test_noisy_copies_find_their_own():
    pictures = gallery()
    order = torch.tensor([3, 0, 6])
    noise = 0.1 * torch.randn(3, 32, 32, 3, generator=torch.Generator().manual_seed(1))
    assert retrieval(pictures[order] + noise, order, pictures) == (1.0, 1.0)
    assert retrieval(pictures[order] + noise, order.roll(1), pictures)[0] == 0.0


def test_ranks():
    levels = torch.arange(8.0)[:, None, None, None].expand(8, 32, 32, 3) / 8
    drawn = levels[:1].expand(4, 32, 32, 3)
    assert retrieval(drawn, [0, 1, 4, 5], levels) == (0.25, 0.75)


def test_equal_pictures_do_not_count_against_the_truth():
    pictures = torch.cat([gallery(), gallery()])
    assert retrieval(gallery(), torch.arange(7) + 7, pictures) == (1.0, 1.0)


def test_nothing_to_measure_is_an_error():
    with pytest.raises(ValueError):
        retrieval(gallery()[:0], [], gallery())


def test_thumbnails_are_on_white():
    pixels = torch.zeros(1, 4, 64, 64)
    pixels[:, 0, :32] = pixels[:, 3, :32] = 0.5
    small = thumbnails(pixels)
    assert small.shape == (1, 32, 32, 3)
    assert torch.allclose(small[0, 0, 0], torch.tensor([1, 0.5, 0.5]))
    assert torch.equal(small[0, 31, 31], torch.ones(3))

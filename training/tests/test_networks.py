from pathlib import Path

import numpy as np
import torch

from banana_training.autoencoder import depth_to_space, space_to_depth
from banana_training.denoiser import Denoiser, DenoiserConfiguration, rotated, rope_angles
from banana_training.export_goldens import goldens, tiny_vocabulary, write_tiny_package
from banana_training.muon import orthogonalised
from banana_training.sampling import philox_normal, sigmas
from banana_training.wordpiece import WordPiece

SMALL = DenoiserConfiguration(8, 4, 4, 32, 2, 4, 2, 48, 24, sigma_channels=16)
COMMITTED = Path(__file__).parents[2] / "Tests/Fixtures/goldens/tiny"


def test_space_to_depth_order_and_inverse():
    x = torch.arange(2 * 3 * 8 * 8.0).reshape(2, 3, 8, 8)
    y = space_to_depth(x, 4)
    assert y.shape == (2, 48, 2, 2)
    assert y[1, (2 * 4 + 3) * 3 + 1, 1, 0] == x[1, 1, 4 + 2, 3]
    assert (depth_to_space(y, 4) == x).all()


def test_padding_does_not_change_the_denoiser():
    torch.manual_seed(0)
    model = Denoiser(SMALL).eval()
    torch.nn.init.normal_(model.output.weight)
    x, text, pooled = torch.randn(1, 16, 8), torch.randn(1, 5, 24), torch.randn(1, 24)
    sigma = torch.tensor([0.7])
    short = model(x, sigma, text, pooled, torch.ones(1, 5, dtype=torch.bool))
    padded = torch.cat([text, torch.randn(1, 3, 24)], 1)
    mask = torch.tensor([[True] * 5 + [False] * 3])
    assert short.shape == (1, 16, 8)
    assert torch.allclose(short, model(x, sigma, padded, pooled, mask), atol=1e-5)


def test_rope_keeps_lengths_and_depends_on_distance():
    cos, sin = rope_angles(SMALL)
    q, k = torch.randn(2, 1, 1, 8).expand(2, 16, 1, 8)
    q, k = rotated(q[None], cos, sin)[0, :, 0], rotated(k[None], cos, sin)[0, :, 0]
    products = q @ k.t()
    assert torch.allclose(products[0, 5], products[10, 15], atol=1e-5)
    assert not torch.allclose(products[0, 5], products[0, 1], atol=1e-3)


def test_muon_makes_orthogonal_updates():
    for shape in ((2, 16, 40), (2, 40, 16)):
        singular = torch.linalg.svdvals(orthogonalised(torch.randn(shape)).float())
        assert singular.min() > 0.5 and singular.max() < 1.5


def test_noise_and_schedule():
    noise = philox_normal(7, 20000)
    assert abs(noise.mean()) < 0.03 and abs(noise.std() - 1) < 0.03
    assert (philox_normal(7, 10) == noise[:10]).all() and (philox_normal(8, 10) != noise[:10]).any()
    levels = sigmas(4, 3.0)
    assert levels[0] == 1 and levels[-1] == 0 and levels == sorted(levels, reverse=True)


def test_tokenizer():
    tokenizer = WordPiece(tiny_vocabulary())
    words = {i: w for w, i in tokenizer.ids.items()}
    assert [words[i] for i in tokenizer("A réd CATS!")] == [
        "[CLS]", "a", "red", "cat", "##s", "!", "[SEP]"]
    assert len(tokenizer("dog " * 100)) == 64 and tokenizer("漢") == [2, 1, 3]


def test_tiny_goldens_are_those_of_this_code(tmp_path):
    from safetensors.numpy import load_file
    write_tiny_package(tmp_path)
    about, arrays = goldens(tmp_path, whole=True)
    stored = load_file(COMMITTED / "goldens.safetensors")
    assert stored.keys() == arrays.keys()
    for name, array in arrays.items():
        assert np.allclose(array, stored[name], atol=2e-4), name

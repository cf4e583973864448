import math

import pytest
import torch

from banana_training.autoencoder import Encoder, EncoderConfiguration
from banana_training.decoder import Decoder, DecoderConfiguration
from banana_training.folding import fold, unfold
from banana_training.linear_code import LinearCode, patches_of, picture_of


@pytest.mark.parametrize("patch,overlap", [(8, 4), (8, 3), (8, 1), (8, 0), (16, 8)])
def test_unfolding_gives_the_picture_back(patch, overlap):
    x = torch.randn(2, 4, 32, 48)
    y = fold(x, patch, overlap)
    assert torch.allclose(unfold(y, patch, overlap), x, atol=1e-6)
    assert y.norm() == pytest.approx(x.norm().item(), rel=1e-6)
    assert torch.equal(y, x) == (overlap == 0)


def test_only_pixels_near_inner_borders_change():
    x = torch.randn(1, 1, 24, 24)
    y = fold(x, 8, 2)
    assert torch.equal(y[..., :6, :6], x[..., :6, :6])
    assert torch.equal(y[..., 18:, 18:], x[..., 18:, 18:])
    assert torch.equal(y[..., 10:14, 10:14], x[..., 10:14, 10:14])
    assert (y[..., 6:10, :] != x[..., 6:10, :]).all() and (y[..., 6:10] != x[..., 6:10]).all()


def test_the_rotation_is_the_one_written_down():
    x = torch.zeros(1, 1, 4, 8)
    x[..., 3], x[..., 4] = 1.0, 2.0
    t = math.pi / 4 * (1 - 1 / 4)
    y = fold(x, 4, 2)[0, 0, 0]
    assert y[3].item() == pytest.approx(math.cos(t) + 2 * math.sin(t))
    assert y[4].item() == pytest.approx(2 * math.cos(t) - math.sin(t))


def test_a_fold_wider_than_half_a_patch_is_refused():
    with pytest.raises(ValueError):
        fold(torch.zeros(1, 4, 16, 16), 8, 5)


def random_code(components=24, patch=8, overlap=4):
    basis = torch.linalg.qr(torch.randn(patch * patch * 4, components)).Q.t()
    return LinearCode(torch.randn(patch * patch * 4), basis.contiguous(), overlap, patch)


def test_patches_and_back():
    x = torch.randn(3, 4, 16, 16)
    assert torch.equal(picture_of(patches_of(x, 4), 4), x)
    assert torch.equal(patches_of(x[0], 4), patches_of(x, 4)[0])


def test_errors_of_coordinates_are_errors_of_pixels():
    code, x = random_code(), torch.randn(2, 4, 32, 32)
    z = code.coordinates(x)
    error = torch.randn_like(z)
    moved = code.pictures(z + error) - code.pictures(z)
    assert moved.norm() == pytest.approx(error.norm().item(), rel=1e-5)
    assert torch.allclose(code.coordinates(code.pictures(z)), z, atol=1e-4)


def test_the_encoder_at_full_size_is_the_code_at_half():
    code = random_code()
    encoder = Encoder(EncoderConfiguration(24, 4, 2, (4, 4, 4, 4), (1, 1, 1, 1), fold=8))
    encoder.set_linear_code(code)
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    smooth = torch.stack([(y / 9).sin(), (x / 7).cos(), (x + y) / 64, torch.ones(64, 64)])[None]
    full = encoder(smooth).flatten(2).transpose(1, 2)
    half = code.coordinates(torch.nn.functional.avg_pool2d(smooth, 2))
    assert (full - half).norm() < 0.01 * half.norm()


def test_the_decoder_unfolds():
    configuration = DecoderConfiguration(8, 8, 4, 4, 16, 1, 2, 1, 16, fold=4)
    folded = Decoder(configuration)
    plain = Decoder(DecoderConfiguration(**configuration.dictionary() | {"fold": 0}))
    plain.load_state_dict(folded.state_dict())
    z = torch.randn(1, 16, 8)
    assert torch.equal(folded(z), unfold(plain(z), 8, 4))

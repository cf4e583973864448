import numpy as np
import pytest
import torch
from torch import nn

from banana_training import formats
from banana_training.denoiser import Denoiser, DenoiserConfiguration
from banana_training.package import dequantized
from banana_training.quantization import (QuantizedLinear, bits_of, chosen_bits, quantizable,
                                          quantize, quantized_tokens, sensitivity, set_levels,
                                          stored_denoiser)

SMALL = DenoiserConfiguration(8, 4, 4, 64, 2, 4, 2, 96, 32, sigma_channels=16)


def test_tokens_are_rounded_as_the_kernels_do():
    x = torch.tensor([[127.0, 0.5, -0.5, 1.5, 2.5, -126.5], [0.0] * 6, [1e-42] + [0.0] * 5])
    q, scale = quantized_tokens(x)
    assert q[0].tolist() == [127, 0, 0, 2, 2, -126] and scale[0] == 1
    assert (q[1:] == 0).all() and (scale[1:] == 1).all()


@pytest.mark.parametrize("bits", [4, 8])
def test_what_is_stored_is_what_was_trained(bits):
    torch.manual_seed(0)
    module = QuantizedLinear(nn.Linear(64, 20), bits)
    module.gain.data.uniform_(-0.2, 0.2)
    stored = module.stored("w")
    back = dequantized(stored, {"w": module.weight})["w"]
    assert torch.equal(back, module.dequantized().detach())


def test_scales_are_learned():
    torch.manual_seed(0)
    linear, x = nn.Linear(64, 16, bias=False), torch.randn(256, 64)
    module = QuantizedLinear(linear, 4)
    goal = linear(x).detach()
    module.scale *= 2
    optimizer = torch.optim.Adam([module.gain], 5e-3)
    losses = []
    for _ in range(150):
        loss = (module(x) - goal).square().mean()
        loss.backward()
        assert module.gain.grad.abs().sum() > 0 and module.weight.grad.abs().sum() > 0
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_more_bits_are_nearer():
    module = QuantizedLinear(nn.Linear(64, 16), 4)
    errors = []
    for bits in (4, 5, 6, 8):
        set_levels(module, bits)
        errors.append((module.dequantized() - module.weight).abs().mean().item())
    assert errors == sorted(errors, reverse=True) and errors[0] > 5 * errors[-1]


def test_a_quantized_denoiser_comes_back_from_its_package():
    torch.manual_seed(0)
    model = Denoiser(SMALL)
    nn.init.normal_(model.output.weight)
    names = quantizable(model)
    assert "text_kv" in names and "input" not in names
    bits = {name: 8 if name == "text_kv" else 4 for name in names}
    like = model.state_dict()
    quantize(model, bits)
    assert bits_of(model.state_dict()) == bits
    back = dequantized(stored_denoiser(model), like)
    assert torch.equal(back["layers.0.qkv.weight"],
                       model.layers[0].qkv.dequantized().detach())
    assert torch.equal(back["text_kv.bias"], like["text_kv.bias"])
    assert np.allclose(back["input.weight"], like["input.weight"], atol=1e-3)


def test_sensitive_layers_stay_at_eight_bits():
    def build():
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 32))
        model[0].weight.data[:, 0] = 50
        return model
    inputs = torch.randn(64, 32)
    inputs[:, 0] = 0  # The outliers do not matter, but they take all the levels.
    errors = sensitivity(build, (inputs,), ["0", "1", "2"])
    assert errors["0"] > 10 * max(errors["1"], errors["2"])
    assert chosen_bits({"a": 1.0, "b": 1.0, "c": 9.0}) == {"a": 4, "b": 4, "c": 8}


def test_records_of_given_integers_come_back():
    q = np.random.default_rng(0).integers(-8, 8, (20, 2, 32)).astype(np.int8)
    scale = np.random.default_rng(1).random((20, 2)).astype(np.float16)
    back = formats.from_int4_matrix(formats.int4_records(q, scale), 20, 64)
    expected = (q * scale.astype(np.float32)[..., None]).reshape(20, 64)
    assert (back == expected).all()

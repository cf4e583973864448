"""Quantization in training: exactly the arithmetic of the engine's kernels, with gradients.

Weights are int4 in groups of 32 along the input, or int8 a row; activations int8, a scale a
token, found at run time. Rounding passes gradients through (Bengio et al. 2013); scales, and
with them where weights are clipped, are learned (Esser et al. 2020, "Learned Step Size
Quantization"). The number of levels falls from 8 to 4 bits during training.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import formats
from .export import F16_WEIGHTS
from .package import flattened

GROUP = 32


def straight_through(x, rounded):
    """The value of `rounded` with the gradient of x."""
    return x + (rounded - x).detach()


def quantized_tokens(x):
    """int8 values (as f32) and scales [..., 1] of each row of the last axis.

    As the kernel does it: x·(127/absmax), clamped, to the nearest integer, ties to even; a row
    whose 127/absmax is not finite becomes zeros.
    """
    largest = x.abs().amax(-1, keepdim=True)
    inverse = 127.0 / largest
    usable = inverse <= 3.4e38
    inverse = torch.where(usable, inverse, 0.0)
    scale = torch.where(usable, largest / 127.0, 1.0)
    return torch.round((x * inverse).clamp(-127, 127)), scale


def dynamic_int8(x):
    """x as the kernels see it, with the gradient of x."""
    q, scale = quantized_tokens(x.detach())
    return straight_through(x, q * scale)


class QuantizedLinear(nn.Module):
    """A linear whose weight is int4 in groups or int8 a row, on activations quantized a token.

    `levels` is half the number of integers: 8 at 4 bits. `gain` moves the scales that plain
    rounding would use; it is what learning the step size means.
    """

    def __init__(self, linear, bits):
        super().__init__()
        rows, columns = linear.weight.shape
        self.bits, self.group = bits, GROUP if bits == 4 else columns
        self.register_buffer("stored_bits", torch.tensor(bits))
        self.weight = nn.Parameter(linear.weight.detach().clone())
        self.bias = None if linear.bias is None else nn.Parameter(linear.bias.detach().clone())
        matrix = self.weight.detach().cpu().numpy()
        if bits == 4:
            scale = formats.int4_groups(matrix, GROUP)[1].astype(np.float32)
        else:
            scale = formats.int8_rows(matrix)[1][:, None]
        self.register_buffer("scale", torch.from_numpy(scale).to(linear.weight.device))
        self.gain = nn.Parameter(torch.zeros_like(self.scale))
        self.register_buffer("levels", self.scale.new_tensor(128.0 if bits == 8 else 8.0))

    def steps(self):
        """Scales [rows, groups] as they are stored: f16 of int4, f32 of int8."""
        scale = self.scale * (1 + self.gain)
        return straight_through(scale, scale.half().float()) if self.bits == 4 else scale

    def quantized(self):
        """Integers [rows, groups, group] (as f32, with gradients) and their scales."""
        scale = self.steps() * ((8.0 if self.bits == 4 else 128.0) / self.levels)
        groups = self.weight.reshape(self.weight.shape[0], -1, self.group) / scale[..., None]
        low = -self.levels if self.bits == 4 else 1 - self.levels
        clipped = torch.minimum(torch.maximum(groups, low), self.levels - 1)
        return straight_through(clipped, torch.round(clipped)), scale

    def dequantized(self):
        q, scale = self.quantized()
        return (q * scale[..., None]).reshape(self.weight.shape)

    def forward(self, x):
        return F.linear(dynamic_int8(x), self.dequantized(), self.bias)

    def stored(self, name):
        """The arrays of a package for this weight."""
        q, scale = (t.detach().cpu().numpy() for t in self.quantized())
        if self.bits == 4:
            return {name + ".int4g32": formats.int4_records(q.astype(np.int8), scale)}
        q = q.reshape(self.weight.shape).astype(np.int8)
        return {name + ".int8": formats.n16k4(q), name + ".scale": scale[:, 0]}


def quantizable(model):
    """Names of the denoiser's linears whose weights the package stores as integers."""
    plain = {name.removesuffix(".weight") for name in F16_WEIGHTS["denoiser"]}
    return [name for name, module in model.named_modules()
            if isinstance(module, nn.Linear) and name not in plain]


def quantize(model, bits):
    """Replaces linears of the model; bits: {name: 4 or 8}."""
    for name, width in bits.items():
        parent, _, leaf = name.rpartition(".")
        owner = model.get_submodule(parent)
        setattr(owner, leaf, QuantizedLinear(getattr(owner, leaf), width))
    return model


def bits_of(state):
    """{name: bits} of the quantized linears of a state dict; empty if there are none."""
    return {name.removesuffix(".stored_bits"): int(tensor)
            for name, tensor in state.items() if name.endswith(".stored_bits")}


def set_levels(model, bits):
    """Gives every int4 weight 2^(bits-1) levels on each side; bits need not be whole."""
    for module in model.modules():
        if isinstance(module, QuantizedLinear) and module.bits == 4:
            module.levels.fill_(round(2 ** (bits - 1)))


def stored_denoiser(model):
    """The package's arrays of a denoiser with or without quantized linears."""
    arrays = {}
    quantized = {name: module for name, module in model.named_modules()
                 if isinstance(module, QuantizedLinear)}
    for name, module in quantized.items():
        arrays.update(module.stored(name + ".weight"))
        if module.bias is not None:
            arrays[name + ".bias"] = module.bias.detach().cpu().numpy()
    for name, tensor in model.state_dict().items():
        if name.rpartition(".")[0] in quantized:
            continue
        array = flattened(tensor.detach().cpu().float().numpy())
        narrow = name in F16_WEIGHTS["denoiser"]
        arrays[name] = array.astype(np.float16 if narrow else np.float32)
    return arrays


@torch.no_grad()
def sensitivity(build, inputs, names):
    """Relative squared error of the output when only that one linear has int4 weights.

    build: gives a fresh model; inputs: the arguments of one call.
    """
    expected = build()(*inputs)
    spread = expected.square().mean()
    return {name: float((quantize(build(), {name: 4})(*inputs) - expected).square().mean()
                        / spread) for name in names}


def chosen_bits(errors, factor=4.0):
    """int8 for linears whose error exceeds `factor` times the median, int4 for the rest."""
    limit = factor * float(np.median(list(errors.values())))
    return {name: 8 if error > limit else 4 for name, error in errors.items()}

"""Peels: low-rank updates of a frozen denoiser (Hu et al. 2021, "LoRA"), and their files.

A file is safetensors under PEFT's names with ModelSpec metadata, F16.
"""

import json
import os
import struct
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import formats

PREFIX = "base_model.model.denoiser."
ALL_SITES = ("qkv", "out", "gate", "up", "down")


class Update(nn.Module):
    """What is added to a linear's output: strength · alpha / rank · up(down(x))."""

    def __init__(self, linear, rank, alpha):
        super().__init__()
        self.rank, self.alpha, self.strength = rank, alpha, 1.0
        self.down = nn.Parameter(torch.randn(rank, linear.in_features) / linear.in_features ** 0.5)
        self.up = nn.Parameter(torch.zeros(linear.out_features, rank))

    def added_to(self, y, x):
        h = x.reshape(-1, x.shape[-1]) @ self.down.t()
        scale = self.strength * self.alpha / self.rank
        return torch.addmm(y.reshape(len(h), -1), h, self.up.t(), alpha=scale).reshape(y.shape)


class Peel:
    """Updates by the name of the linear that they follow, attached until `detach`.

    The base's modules, names and weights stay as they are: the updates are forward hooks.
    """

    def __init__(self, denoiser, names, rank, alpha):
        linears = dict(denoiser.named_modules())
        self.rank, self.alpha = rank, alpha
        self.updates = {name: Update(linears[name], rank, alpha) for name in names}
        self._hooks = [linears[name].register_forward_hook(
            lambda _, inputs, y, update=update: update.added_to(y, inputs[0]))
            for name, update in self.updates.items()]

    def parameters(self):
        return [p for update in self.updates.values() for p in (update.down, update.up)]

    def set_strength(self, strength):
        for update in self.updates.values():
            update.strength = strength

    def state_dict(self):
        """Tensors by the names of the file."""
        state = {}
        for name, update in self.updates.items():
            state[f"{PREFIX}{name}.lora_A.weight"] = update.down.detach()
            state[f"{PREFIX}{name}.lora_B.weight"] = update.up.detach()
        return state

    @torch.no_grad()
    def load_state_dict(self, state):
        own = self.state_dict()
        if own.keys() != state.keys():
            raise ValueError("these are tensors of another peel: " +
                             ", ".join(sorted(own.keys() ^ state.keys())[:3]))
        for name, tensor in own.items():
            tensor.copy_(state[name])

    def detach(self):
        for hook in self._hooks:
            hook.remove()


def sites(denoiser, kinds=ALL_SITES):
    """Names of the linears of those kinds in the denoiser's layers."""
    return [name for name, module in denoiser.named_modules()
            if isinstance(module, nn.Linear) and name.startswith("layers.")
            and name.rsplit(".", 1)[1] in kinds]


def write_peel(path, peel, metadata):
    """Writes beside and renames. Metadata are strings; alpha and rank are added to them."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = metadata | {"lora_alpha": f"{peel.alpha:g}", "lora_rank": str(peel.rank)}
    arrays = {name: t.half().numpy() for name, t in peel.state_dict().items()}
    for name, array in arrays.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite in half precision; train at a lower --rate")
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    formats.save_safetensors(arrays, beside, metadata)
    os.replace(beside, path)


def read_peel(path):
    """Tensors in f32 by name, and the metadata."""
    from safetensors.torch import load_file
    tensors = {name: t.float() for name, t in load_file(str(path)).items()}
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        return tensors, json.loads(file.read(length)).get("__metadata__", {})


def attach_peel(denoiser, path, strength=1.0):
    """The peel of a file on a denoiser, and its metadata."""
    tensors, metadata = read_peel(path)
    suffix = ".lora_A.weight"
    names = [n.removeprefix(PREFIX).removesuffix(suffix) for n in tensors if n.endswith(suffix)]
    peel = Peel(denoiser, names, int(metadata["lora_rank"]), float(metadata["lora_alpha"]))
    peel.load_state_dict(tensors)
    peel.set_strength(strength)
    return peel, metadata

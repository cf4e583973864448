"""Reading packages back: stored tensors to the f32 values that they stand for."""

import json
from pathlib import Path

import numpy as np
import torch

from . import formats


def logical_matrix_shape(shape):
    """[out, in] of a weight: convolutions [out, in, h, w] are flattened as [out, h·w·in]."""
    rows = shape[0]
    columns = 1
    for extent in shape[1:]:
        columns *= extent
    return rows, columns


def flattened(array):
    """A torch weight as the package's matrix: OIHW becomes [out, h·w·in]."""
    if array.ndim == 4:
        array = array.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(array.reshape(array.shape[0], -1))
    return array


def unflattened(matrix, shape):
    """The inverse of `flattened`."""
    if len(shape) == 4:
        out, channels, height, width = shape
        return matrix.reshape(out, height, width, channels).transpose(0, 3, 1, 2)
    return matrix.reshape(shape)


def dequantized(stored, like):
    """A state dict with the names and shapes of `like` from stored arrays of any format."""
    result = {}
    for name, tensor in like.items():
        shape = tuple(tensor.shape)
        if name in stored:
            value = unflattened(stored[name].astype(np.float32), shape)
        elif name + ".int8" in stored:
            rows, columns = logical_matrix_shape(shape)
            q = formats.from_n16k4(stored[name + ".int8"], rows, columns).astype(np.float32)
            value = unflattened(q * stored[name + ".scale"][:, None], shape)
        elif name + ".int4g32" in stored:
            rows, columns = logical_matrix_shape(shape)
            matrix = formats.from_int4_matrix(stored[name + ".int4g32"], rows, columns)
            value = unflattened(matrix, shape)
        elif name + ".int4g32rows" in stored:
            value = formats.from_int4_embedding(stored[name + ".int4g32rows"])
        else:
            raise KeyError(f"no stored form of {name}")
        result[name] = torch.from_numpy(np.ascontiguousarray(value))
    return result


def load_file(path):
    """All stored arrays of a safetensors file."""
    from safetensors.numpy import load_file as load
    return load(str(path))


def load_package(folder):
    """The model.json and f32 modules (text encoder, denoiser, decoder, encoder, tokenizer)."""
    from .autoencoder import Encoder, EncoderConfiguration
    from .decoder import Decoder, DecoderConfiguration
    from .denoiser import Denoiser, DenoiserConfiguration
    from .text_encoder import TextEncoder, TextEncoderConfiguration
    from .wordpiece import WordPiece
    folder = Path(folder)
    manifest = json.loads((folder / "model.json").read_text())
    c = manifest["configuration"]
    text = TextEncoder(TextEncoderConfiguration(**snake(c["textEncoder"])))
    fields = snake(c["denoiser"])
    fields.pop("prediction")
    denoiser = Denoiser(DenoiserConfiguration(**fields))
    fields = {k: tuple(v) if isinstance(v, list) else v for k, v in snake(c["encoder"]).items()}
    fields.pop("linear_factor")
    modules = {"text_encoder": text, "denoiser": denoiser,
               "decoder": Decoder(DecoderConfiguration(**snake(c["decoder"]))),
               "encoder": Encoder(EncoderConfiguration(**fields))}
    for name, module in modules.items():
        stored = load_file(folder / f"{name}.safetensors")
        module.load_state_dict(dequantized(stored, module.state_dict()))
        module.eval().requires_grad_(False)
    tokenizer = WordPiece(folder / c["text"]["vocabulary"], c["text"]["maximumTokens"])
    return manifest, modules, tokenizer


def snake(dictionary):
    return {"".join("_" + c.lower() if c.isupper() else c for c in key): value
            for key, value in dictionary.items()}


def camel(dictionary):
    def renamed(key):
        head, *tail = key.split("_")
        return head + "".join(part.capitalize() for part in tail)
    return {renamed(key): value for key, value in dictionary.items()}

"""The storage formats of model packages, both ways, bit for bit as the engine reads them."""

import json
import struct

import numpy as np


def quantized_rows(weight, levels):
    """Symmetric integers in -levels...levels and the f32 scale of each row of [rows, n]."""
    weight = weight.astype(np.float32)
    scale = np.abs(weight).max(1) / levels
    scale = np.where(scale == 0, 1, scale).astype(np.float32)
    q = np.clip(np.rint(weight / scale[:, None]), -levels, levels)
    return q.astype(np.int8), scale


def int8_rows(weight, tries=24):
    """As `quantized_rows` at 127 levels, with the scale of each row of least squared error."""
    weight = weight.astype(np.float32)
    largest = np.abs(weight).max(1)
    best_q, best_scale = quantized_rows(weight, 127)
    best = np.square(best_q * best_scale[:, None] - weight).sum(1)
    for i in range(1, tries):
        scale = (largest * (1 - 0.012 * i) / 127).astype(np.float32)
        scale = np.where(scale == 0, 1, scale).astype(np.float32)
        q = np.clip(np.rint(weight / scale[:, None]), -127, 127)
        error = np.square(q * scale[:, None] - weight).sum(1)
        better = error < best
        best_q[better], best_scale[better] = q[better].astype(np.int8), scale[better]
        best = np.minimum(best, error)
    return best_q, best_scale


def n16k4(q):
    """[out, in] int8 to blocks [ceil(out/16), ceil(in/4), 16, 4]."""
    rows, columns = q.shape
    padded = np.zeros((-(-rows // 16) * 16, -(-columns // 4) * 4), np.int8)
    padded[:rows, :columns] = q
    blocks = padded.reshape(padded.shape[0] // 16, 16, padded.shape[1] // 4, 4)
    return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))


def from_n16k4(blocks, rows, columns):
    """The inverse of `n16k4`."""
    a, b = blocks.shape[:2]
    return blocks.transpose(0, 2, 1, 3).reshape(a * 16, b * 4)[:rows, :columns]


def int4_groups(matrix, group=32, tries=16):
    """q in -8...7 [rows, columns/group, group] and f16 scales [rows, columns/group].

    Of `tries` scales for each group the one of least squared error is kept.
    """
    rows, width = matrix.shape
    groups = matrix.astype(np.float32).reshape(rows, width // group, group)
    extreme = np.take_along_axis(groups, np.abs(groups).argmax(-1)[..., None], -1)[..., 0]
    best_q = best_scale = best = None
    for i in range(tries):
        scale = (extreme / -8 * (1 - 0.03 * i)).astype(np.float16)
        scale = np.where(scale == 0, np.float16(1), scale)
        wide = scale.astype(np.float32)[..., None]
        q = np.clip(np.rint(groups / wide), -8, 7)
        error = np.square(q * wide - groups).sum(-1)
        if best is None:
            best_q, best_scale, best = q, scale, error
        else:
            better = error < best
            best_q[better], best_scale[better] = q[better], scale[better]
            best = np.minimum(best, error)
    return best_q.astype(np.int8), best_scale


def int4_embedding(table):
    """[rows, width] to records [rows, width/32, 18] (f16 scale, 16 bytes of nibbles)."""
    best_q, best_scale = int4_groups(table, 32)
    nibbles = (best_q + 8).astype(np.uint8)
    packed = nibbles[..., 0::2] | (nibbles[..., 1::2] << 4)
    scales = best_scale.astype("<f2")[..., None].view(np.uint8)
    return np.concatenate([scales, packed], -1)


def from_int4_embedding(records):
    """The inverse of `int4_embedding`: [rows, width] f32."""
    scale = np.ascontiguousarray(records[..., :2]).view("<f2").astype(np.float32)
    packed = records[..., 2:]
    q = np.stack([packed & 15, packed >> 4], -1).reshape(*packed.shape[:2], 32)
    values = (q.astype(np.float32) - 8) * scale
    return values.reshape(records.shape[0], -1)


def int4_matrix(matrix, group=32):
    """The records of [out, in], with the scales of least squared error."""
    rows, columns = matrix.shape
    padded = np.zeros((rows, -(-columns // group) * group), np.float32)
    padded[:, :columns] = matrix
    return int4_records(*int4_groups(padded, group))


def int4_records(q, scale):
    """q -8...7 [out, in/group, group] and scales [out, in/group] to records of 16 outputs.

    [ceil(out/16), in/group, 32 + 8·group] bytes: a record is f16 scale[16], then uint8
    q[group/4][16][2], of which two bytes hold four inputs.
    """
    rows, groups, group = q.shape
    blocks = -(-rows // 16)
    q = np.concatenate([q, np.zeros((blocks * 16 - rows, groups, group), q.dtype)])
    scale = np.concatenate([scale, np.zeros((blocks * 16 - rows, groups), scale.dtype)])
    nibbles = (q + 8).astype(np.uint8).reshape(blocks, 16, groups, group // 4, 2, 2)
    packed = nibbles[..., 0] | (nibbles[..., 1] << 4)
    packed = packed.transpose(0, 2, 3, 1, 4).reshape(blocks, groups, 8 * group)
    scales = scale.reshape(blocks, 16, groups).transpose(0, 2, 1).astype("<f2")
    scales = np.ascontiguousarray(scales).view(np.uint8)
    return np.ascontiguousarray(np.concatenate([scales, packed], -1))


def from_int4_matrix(records, rows, columns, group=32):
    """The inverse of `int4_matrix`: [rows, columns] f32."""
    blocks, groups = records.shape[:2]
    scale = np.ascontiguousarray(records[..., :32]).view("<f2").astype(np.float32)
    packed = records[..., 32:].reshape(blocks, groups, group // 4, 16, 2)
    q = np.stack([packed & 15, packed >> 4], -1).astype(np.float32) - 8
    q = q.reshape(blocks, groups, group // 4, 16, 4) * scale[:, :, None, :, None]
    return q.transpose(0, 3, 1, 2, 4).reshape(blocks * 16, -1)[:rows, :columns]


NAMES = {"float32": "F32", "float16": "F16", "int8": "I8", "uint8": "U8", "int32": "I32"}


def save_safetensors(tensors, path, metadata=None):
    """Writes arrays with their data at multiples of 64 bytes wherever contiguity allows.

    Tensors whose length is a multiple of 64 come first, largest first, so that all of them
    (the blocked weights among them) are aligned; the short rest follows.
    """
    order = sorted(tensors, key=lambda n: (tensors[n].nbytes % 64 != 0, -tensors[n].nbytes, n))
    header, offset = {}, 0
    if metadata:
        header["__metadata__"] = metadata
    for name in order:
        array = tensors[name]
        header[name] = {"dtype": NAMES[array.dtype.name], "shape": list(array.shape),
                        "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % 64)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)))
        file.write(text)
        for name in order:
            file.write(np.ascontiguousarray(tensors[name]).tobytes())

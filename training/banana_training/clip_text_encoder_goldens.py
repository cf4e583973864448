"""What transformers' CLIPTextModel makes of random tokens with random weights.

    pip install transformers==5.24.0
    python -m banana_training.clip_text_encoder_goldens \
        --out ../Tests/Fixtures/goldens/clip_text_encoder
"""

import argparse
from pathlib import Path

import torch
from transformers import CLIPTextConfig, CLIPTextModel

from .formats import save_safetensors


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    torch.manual_seed(7)
    ids = torch.randint(0, 50, (2, 11))
    arrays, weights = {"ids": ids.int().numpy()}, None
    for activation in ("gelu", "quick_gelu"):
        model = CLIPTextModel(CLIPTextConfig(
            vocab_size=50, hidden_size=32, intermediate_size=40, num_hidden_layers=3,
            num_attention_heads=2, max_position_embeddings=12, hidden_act=activation,
        )).eval()
        if weights is None:
            for name, weight in model.named_parameters():
                torch.nn.init.normal_(weight, mean=float("norm" in name), std=0.3)
            weights = model.state_dict()
        model.load_state_dict(weights)
        states = model(ids, output_hidden_states=True)
        norm = next(m for name, m in model.named_modules() if name.endswith("final_layer_norm"))
        arrays[f"{activation}.hidden.0"] = states.last_hidden_state.numpy()
        arrays[f"{activation}.hidden.1"] = norm(states.hidden_states[-2]).numpy()
    out.mkdir(parents=True, exist_ok=True)
    # Checkpoints have the prefix, whether or not the model of the day has.
    save_safetensors({f"text_model.{name.removeprefix('text_model.')}": value.numpy()
                      for name, value in weights.items() if "position_ids" not in name},
                     out / "weights.safetensors")
    save_safetensors(arrays, out / "goldens.safetensors")


if __name__ == "__main__":
    main()

"""What diffusers' AutoencoderTiny makes of random latents and pixels with random weights.

    pip install diffusers==0.42.1
    python -m banana_training.tiny_autoencoder_goldens \
        --out ../Tests/Fixtures/goldens/tiny_autoencoder
"""

import argparse
from pathlib import Path

import torch
from diffusers import AutoencoderTiny

from .formats import save_safetensors


def channels_last(x):
    return x.permute(0, 2, 3, 1).contiguous().numpy()


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    torch.manual_seed(7)
    model = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8), decoder_block_out_channels=(8, 8, 8),
        num_encoder_blocks=(1, 1, 2), num_decoder_blocks=(2, 0, 1),
    ).eval()
    # Large enough weights for latents and borders to matter.
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)
    weights = {
        name: channels_last(value) if value.ndim == 4 else value.numpy()
        for name, value in model.state_dict().items()
    }
    latents, pixels = 4 * torch.randn(2, 4, 3, 5), 2 * torch.rand(2, 3, 12, 20) - 1
    arrays = {"decoder.latents": latents, "decoder.pixels": model.decode(latents).sample,
              "encoder.pixels": pixels, "encoder.latents": model.encode(pixels).latents}
    out.mkdir(parents=True, exist_ok=True)
    save_safetensors(weights, out / "weights.safetensors")
    save_safetensors({name: channels_last(x) for name, x in arrays.items()},
                     out / "goldens.safetensors")


if __name__ == "__main__":
    main()

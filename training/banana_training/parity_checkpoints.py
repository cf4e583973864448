"""Checkpoints of the full architectures with random weights, as diffusers saves them.

    pip install diffusers==0.42.1 transformers==5.24.0 torch safetensors
    python -m banana_training.parity_checkpoints sd15 --out /tmp/sd15

The weights have the sizes of trained ones (see diffusers_goldens.py), in f16, and outliers where
trained ones have them: norms' gains of some channels, and the first token's hidden state.
"""

import argparse
from pathlib import Path

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler,
                       StableDiffusionPipeline, UNet2DConditionModel)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .diffusers_goldens import randomize
from .stable_diffusion_goldens import write_vocabulary

CROSS, DOWN, UP = "CrossAttnDownBlock2D", "DownBlock2D", "UpBlock2D"
CROSS_UP = "CrossAttnUpBlock2D"
SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
VIT_L = dict(
    hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12,
    hidden_act="quick_gelu", pad_token_id=49407)
VIT_H = dict(
    hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16,
    hidden_act="gelu", pad_token_id=0)
SD15 = dict(
    block_out_channels=[320, 640, 1280, 1280], attention_head_dim=8, cross_attention_dim=768,
    down_block_types=[CROSS, CROSS, CROSS, DOWN], up_block_types=[UP, CROSS_UP, CROSS_UP, CROSS_UP],
    layers_per_block=2, sample_size=64)
ARCHITECTURES = {
    "sd15": (VIT_L, SD15),
    "sd-turbo": (VIT_H, SD15 | dict(
        attention_head_dim=[5, 10, 20, 20], cross_attention_dim=1024, use_linear_projection=True)),
    "tiny-sd": (VIT_L, SD15 | dict(
        block_out_channels=[320, 640, 1280], layers_per_block=1, mid_block_type=None,
        down_block_types=[CROSS] * 3, up_block_types=[CROSS_UP] * 3)),
}
AUTOENCODER = dict(
    block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4,
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
    sample_size=512)


def write(architecture, merges, out):
    generator = torch.Generator().manual_seed(23)
    text_fields, unet_fields = ARCHITECTURES[architecture]
    write_vocabulary(merges, out / "tokenizer", count=None)
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, max_position_embeddings=77, bos_token_id=49406, eos_token_id=49407,
        **text_fields))
    networks = [text, UNet2DConditionModel(**unet_fields), AutoencoderKL(**AUTOENCODER)]
    for network in networks:
        randomize(network.eval(), generator)
        network.half()
    scheduler = (
        EulerDiscreteScheduler(timestep_spacing="trailing", **SCHEDULE)
        if architecture == "sd-turbo"
        else DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1, **SCHEDULE))
    StableDiffusionPipeline(
        text_encoder=text, unet=networks[1], vae=networks[2], scheduler=scheduler,
        tokenizer=CLIPTokenizer(
            str(out / "tokenizer/vocab.json"), str(out / "tokenizer/merges.txt")),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    ).save_pretrained(out)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("architecture", choices=ARCHITECTURES)
    parser.add_argument("--merges", type=Path, default=Path("../tokenizers/clip/merges.txt"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    write(options.architecture, options.merges, options.out)


if __name__ == "__main__":
    main()

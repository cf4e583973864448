"""Checkpoints of the full architectures with random weights, as diffusers saves them.

    pip install diffusers==0.42.1 transformers==5.24.0 peft==0.21.2 torch safetensors
    python -m banana_training.parity_checkpoints sd15 --out /tmp/sd15 [--lora lcm.safetensors]

The weights have the sizes of trained ones (see diffusers_goldens.py), in f16, and outliers where
trained ones have them: norms' gains of some channels, and the first token's hidden state. A LoRA
has the layers and the rank of those that make a latent consistency model of Stable Diffusion.
"""

import argparse
import math
from pathlib import Path

import torch
from diffusers import (AutoencoderKL, AutoencoderTiny, DDIMScheduler, EulerDiscreteScheduler,
                       StableDiffusionPipeline, UNet2DConditionModel)
from diffusers.utils import convert_state_dict_to_diffusers
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
    # SDXS-512-DreamShaper: tiny-sd without attention in the finest level, and a tiny autoencoder.
    "sdxs": (VIT_L, SD15 | dict(
        block_out_channels=[320, 640, 1280], layers_per_block=1, mid_block_type=None,
        down_block_types=[DOWN, CROSS, CROSS], up_block_types=[CROSS_UP, CROSS_UP, UP])),
}
AUTOENCODER = dict(
    block_out_channels=[128, 256, 512, 512], layers_per_block=2, latent_channels=4,
    down_block_types=["DownEncoderBlock2D"] * 4, up_block_types=["UpDecoderBlock2D"] * 4,
    sample_size=512)
# As the script with which their authors distil latent consistency LoRAs.
LORA = dict(r=64, lora_alpha=64, target_modules=[
    "to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2",
    "conv1", "conv2", "conv_shortcut", "downsamplers.0.conv", "upsamplers.0.conv", "time_emb_proj"])


def tiny_autoencoder(generator):
    """TAESD's, which draws around the middle of 0 to 1."""
    network = AutoencoderTiny()
    randomize(network.eval(), generator)
    last = network.decoder.layers[-1]
    last.weight.data *= 0.1
    last.bias.data.fill_(0.5)
    return network


def autoencoder(generator):
    network = AutoencoderKL(**AUTOENCODER)
    randomize(network.eval(), generator)
    return network


def write(architecture, merges, out):
    generator = torch.Generator().manual_seed(23)
    text_fields, unet_fields = ARCHITECTURES[architecture]
    write_vocabulary(merges, out / "tokenizer", count=None)
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=49408, max_position_embeddings=77, bos_token_id=49406, eos_token_id=49407,
        **text_fields))
    networks = [text, UNet2DConditionModel(**unet_fields)]
    for network in networks:
        randomize(network.eval(), generator)
    networks.append((tiny_autoencoder if architecture == "sdxs" else autoencoder)(generator))
    for network in networks:
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


def write_lora(checkpoint, path):
    """A LoRA for a checkpoint's UNet, as peft names its numbers and diffusers saves them.

    Its update is a tenth of a weight's size.
    """
    # Of both, only what writes LoRAs needs it.
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    generator = torch.Generator().manual_seed(29)
    unet = UNet2DConditionModel.from_pretrained(checkpoint, subfolder="unet", dtype=torch.float16)
    unet.add_adapter(LoraConfig(**LORA))
    for name, parameter in unet.named_parameters():
        if "lora_" in name:
            size = (0.1 if "lora_B" in name else 1) / math.sqrt(parameter[0].numel())
            parameter.data = size * torch.randn(parameter.shape, generator=generator)
    state = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(
        path.parent, {name: value.half().contiguous() for name, value in state.items()},
        weight_name=path.name, unet_lora_adapter_metadata=unet.peft_config["default"].to_dict())


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("architecture", choices=ARCHITECTURES)
    parser.add_argument("--merges", type=Path, default=Path("../tokenizers/clip/merges.txt"))
    parser.add_argument("--out", type=Path, required=True, help="A checkpoint there is kept.")
    parser.add_argument("--lora", type=Path, help="Writes a LoRA for it as well.")
    options = parser.parse_args()
    if not (options.out / "model_index.json").exists():
        write(options.architecture, options.merges, options.out)
    if options.lora:
        write_lora(options.out, options.lora)


if __name__ == "__main__":
    main()

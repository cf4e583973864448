"""What diffusers' networks of Stable Diffusion compute: tiny configurations, random weights.

    pip install diffusers==0.42.1 torch safetensors
    python -m banana_training.diffusers_goldens --out ../Tests/Fixtures/goldens/stable-diffusion

For each case a folder with config.json as diffusers writes it, the weights (f16, under diffusers'
names, convolutions [out, y, x, in] and those of 1 by 1 as matrices), and the inputs, the outputs of
all blocks and the result in f32, computed in f64 with the weights as they were rounded.

PyTorch's own initial weights would let a network pass that leaves out half of its blocks: they make
each branch small beside what it is added to. Weights here have the sizes of trained ones: products
keep the variance of what they are given, so that the last of each residual branch adds 0.6 of what
is there and the stream grows with depth; queries and keys are 1.5 times as large, so that attention
is to few places; norms' gains are spread around 1, with one of sixteen four times as large, as are
channels of the stream and of the text's hidden states in real networks; biases are a fifth.
"""

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import save_file

UNETS = {
    # Stable Diffusion 1.5's blocks; nothing is even that need not be.
    "unet-odd": dict(
        block_out_channels=[15, 21, 27, 33], norm_num_groups=3, attention_head_dim=3,
        cross_attention_dim=13, layers_per_block=2),
    # Pruned as BK-SDM and SDXS are; inpainting; guidance distilled into it.
    "unet-pruned": dict(
        block_out_channels=[10, 20, 30], norm_num_groups=5, attention_head_dim=[2, 4, 5],
        cross_attention_dim=24, layers_per_block=[1, 2, 1], use_linear_projection=True,
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
        mid_block_type=None, in_channels=9, time_cond_proj_dim=12, norm_eps=1e-4),
    "unet-deep": dict(
        block_out_channels=[16, 32], norm_num_groups=8, attention_head_dim=[1, 4],
        cross_attention_dim=20, layers_per_block=1, transformer_layers_per_block=[1, 2],
        down_block_types=["DownBlock2D", "CrossAttnDownBlock2D"],
        up_block_types=["CrossAttnUpBlock2D", "UpBlock2D"], mid_block_type="UNetMidBlock2D",
        time_embedding_dim=28),
}
AUTOENCODERS = {
    "autoencoder": dict(
        block_out_channels=[9, 15, 21], norm_num_groups=3, layers_per_block=2, latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3),
}
BRANCH_ENDS = ("conv2", "to_out.0", "net.2", "proj_out")


def randomize(network, generator):
    """Weights with the sizes of trained ones, rounded to f16."""
    def normal(shape, deviation):
        return deviation * torch.randn(shape, generator=generator, dtype=torch.float64)

    for name, module in network.named_modules():
        weight = getattr(module, "weight", None)
        if weight is None:
            continue
        if isinstance(module, (torch.nn.GroupNorm, torch.nn.LayerNorm)):
            gain = 1 + normal(weight.shape, 0.25)
            gain[torch.rand(weight.shape, generator=generator) < 1 / 16] *= 4
            weight.data = gain
        else:
            size = 1
            if name.endswith(("to_q", "to_k")):
                size = 1.5
            elif name.endswith(BRANCH_ENDS):
                size = 0.6
            weight.data = normal(weight.shape, size / math.sqrt(weight[0].numel()))
        if getattr(module, "bias", None) is not None:
            module.bias.data = normal(module.bias.shape, 0.2)
    for parameter in network.parameters():
        parameter.data = parameter.data.half().to(parameter.dtype)


def channels_last(value):
    return value.permute(0, 2, 3, 1) if value.dim() == 4 else value


def weights(network):
    """The parameters as a package stores them."""
    def stored(value):
        if value.dim() == 4:
            value = value[:, :, 0, 0] if value.shape[2:] == (1, 1) else channels_last(value)
        return value.half().contiguous()

    return {name: stored(value) for name, value in network.state_dict().items()}


def tapped(network, names):
    """What the modules of these names give, filled in while the network runs."""
    taps = {}

    def hook(name):
        def keep(module, inputs, output):
            taps["taps." + name] = output[0] if isinstance(output, tuple) else output
        return keep

    for name, module in network.named_modules():
        if name.rstrip("0123456789").removesuffix(".").split(".")[-1] in names:
            module.register_forward_hook(hook(name))
    return taps


def write(folder, network, tensors):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(network.to_json_string())
    save_file(weights(network), folder / "weights.safetensors")
    for name, value in sorted(tensors.items()):
        print(f"{folder.name} {name} {tuple(value.shape)}: "
              f"deviation {value.std():.2f}, largest {value.abs().max():.1f}")
    save_file({name: channels_last(value).float().contiguous() for name, value in tensors.items()},
              folder / "goldens.safetensors")
    for file in folder.iterdir():
        file.chmod(0o644)


def guidance_embedding(scale, width):
    """Of the guidance scale less 1, as diffusers' latent consistency pipeline makes it."""
    half = width // 2
    frequencies = torch.exp(-math.log(10_000) / (half - 1) * torch.arange(half).double())
    angles = 1000 * scale[:, None] * frequencies
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def write_unet(folder, configuration, generator):
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel(**configuration).double().eval()
    randomize(network, generator)
    c = network.config
    taps = tapped(network, {"conv_in", "time_embedding", "down_blocks", "mid_block", "up_blocks"})
    x = torch.randn(2, c.in_channels, 8, 16, generator=generator, dtype=torch.float64)
    hidden = torch.randn(2, 7, c.cross_attention_dim, generator=generator, dtype=torch.float64)
    hidden[:, 0, ::5] *= 10  # the beginning of a text, in CLIP
    time = torch.tensor([961.0, 7.0])
    tensors = {"latents": x[:, :c.out_channels], "hidden": hidden, "time": time}
    if c.in_channels > c.out_channels:
        tensors["source"] = x[:, c.out_channels:]
    condition = None
    if c.time_cond_proj_dim:
        tensors["guidance"] = torch.tensor([6.5, 0.25], dtype=torch.float64)
        condition = guidance_embedding(tensors["guidance"], c.time_cond_proj_dim)
    result = network(x, time, hidden, timestep_cond=condition).sample
    write(folder, network, {**tensors, **taps, "prediction": result})


def write_autoencoder(folder, configuration, generator):
    from diffusers import AutoencoderKL

    network = AutoencoderKL(**configuration).double().eval()
    randomize(network, generator)
    taps = tapped(network, {"down_blocks", "mid_block", "up_blocks"})
    pixels = torch.rand(2, 3, 16, 24, generator=generator, dtype=torch.float64) * 2 - 1
    latents = torch.randn(2, 4, 4, 6, generator=generator, dtype=torch.float64)
    results = {"encoder.latents": network.encode(pixels).latent_dist.mean,
               "decoder.pixels": network.decode(latents).sample}
    write(folder, network, {
        "encoder.pixels": pixels, "decoder.latents": latents, **taps, **results})


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    out = Path(parser.parse_args().out)
    for cases, write_case in ((UNETS, write_unet), (AUTOENCODERS, write_autoencoder)):
        for name, configuration in cases.items():
            write_case(out / name, configuration, torch.Generator().manual_seed(13))


if __name__ == "__main__":
    main()

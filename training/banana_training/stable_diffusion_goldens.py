"""A tiny checkpoint of Stable Diffusion's kind as diffusers saves it, and what diffusers draws.

    pip install diffusers==0.42.1 transformers==5.24.0 torch safetensors
    python -m banana_training.stable_diffusion_goldens --merges ../tokenizers/clip/merges.txt \
        --out ../Tests/Fixtures/goldens/stable-diffusion/whole

The folder `checkpoint` has random weights of the sizes of trained ones (see diffusers_goldens.py) in
f16. `goldens.json` says what was drawn with it, in f64; `goldens.safetensors` has, for each case,
the texts' hidden states (`.hidden`, `.negative`), the latents at the end (`.latents`, `[y, x,
channel]`) and the picture (`.pixels`, `[y, x, channel]`, -1 to 1). Noise is that of a seed, as
CUDA's generators lay it out; a chunk of 77 tokens is encoded at a time and weighted as
AUTOMATIC1111's web UI does.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import (AutoencoderKL, DDIMScheduler, DPMSolverMultistepScheduler,
                       EulerAncestralDiscreteScheduler, EulerDiscreteScheduler, LCMScheduler,
                       StableDiffusionPipeline, TCDScheduler, UNet2DConditionModel)
from diffusers.schedulers import (scheduling_euler_ancestral_discrete, scheduling_lcm,
                                  scheduling_tcd)
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .diffusers_goldens import channels_last, randomize
from .sampling import philox_normal

MERGES = 120
SIDE = 16  # latents
UNET = dict(
    block_out_channels=[12, 20, 28], norm_num_groups=4, attention_head_dim=[2, 5, 4],
    cross_attention_dim=24, layers_per_block=1, sample_size=SIDE,
    down_block_types=["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types=["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"])
AUTOENCODER = dict(
    block_out_channels=[8, 12, 16], norm_num_groups=4, layers_per_block=1, latent_channels=4,
    down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3,
    sample_size=64)
SCHEDULE = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", steps_offset=1)
SCHEDULERS = {
    ("euler", "trailing"): (EulerDiscreteScheduler, dict(timestep_spacing="trailing")),
    ("euler_a", "trailing"): (
        EulerAncestralDiscreteScheduler, dict(timestep_spacing="trailing")),
    ("ddim", "leading"): (
        DDIMScheduler, dict(timestep_spacing="leading", clip_sample=False, set_alpha_to_one=False)),
    ("lcm", "lcm"): (LCMScheduler, dict(clip_sample=False)),
    ("tcd", "lcm"): (TCDScheduler, dict(clip_sample=False)),
    ("dpmpp_2m", "karras"): (DPMSolverMultistepScheduler, dict(use_karras_sigmas=True)),
}
# Latent consistency's own steps are what these take; there is nothing to add to them.
DISTILLED = (LCMScheduler, TCDScheduler)
# The schedulers that draw fresh noise.
NOISY = (scheduling_euler_ancestral_discrete, scheduling_lcm, scheduling_tcd)
# TCD's share of fresh noise where nothing is said; pipelines would take 0.
GAMMA = 0.3
LONG = "the red and green " * 30
CASES = [
    dict(prompt="a house in the rain", negative="fog", sampler="euler", spacing="trailing",
         steps=3, guidance=4, seed=7),
    dict(prompt="a (great:1.4) [sea] at night", negative="", sampler="dpmpp_2m", spacing="karras",
         steps=5, guidance=6.5, seed=8,
         weights={"great": 1.4, "sea": 1 / 1.1}),
    dict(prompt="the other", negative="", sampler="lcm", spacing="lcm", steps=4, guidance=1, seed=9),
    dict(prompt=LONG.strip(), negative="less", sampler="ddim", spacing="leading", steps=2,
         guidance=3, seed=10),
    dict(prompt="a house", negative="", sampler="euler", spacing="trailing", steps=2, guidance=4,
         seed=11, clip_skip=2),
    dict(prompt="the rain", negative="fog", sampler="euler_a", spacing="trailing", steps=4,
         guidance=3, seed=12),
    dict(prompt="a sea at night", negative="", sampler="tcd", spacing="lcm", steps=4, guidance=1,
         seed=13),
]


def write_vocabulary(merges, folder, count=MERGES):
    """A `merges.txt` of the first merges, and the `vocab.json` that follows from it."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = merges.read_text().rstrip("\n").split("\n")
    if count is not None:
        lines = lines[:count + 1]
    printable = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    names = {byte: chr(byte) for byte in printable}
    for index, byte in enumerate(b for b in range(256) if b not in names):
        names[byte] = chr(256 + index)
    order = [names[b] for b in [*printable, *(b for b in range(256) if b not in printable)]]
    tokens = order + [name + "</w>" for name in order]
    tokens += ["".join(line.split()) for line in lines[1:]]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}))
    return len(tokens)


def build(merges, folder):
    generator = torch.Generator().manual_seed(17)
    size = write_vocabulary(merges, folder / "tokenizer")
    tokenizer = CLIPTokenizer(
        str(folder / "tokenizer/vocab.json"), str(folder / "tokenizer/merges.txt"))
    text = CLIPTextModel(CLIPTextConfig(
        vocab_size=size, hidden_size=24, intermediate_size=40, num_hidden_layers=3,
        num_attention_heads=3, max_position_embeddings=77, hidden_act="quick_gelu",
        bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=size - 1))
    unet, autoencoder = UNet2DConditionModel(**UNET), AutoencoderKL(**AUTOENCODER)
    for network in (text, unet, autoencoder):
        randomize(network.double().eval(), generator)
    for name, weight in text.named_parameters():
        if "embedding" in name:
            weight.data = torch.randn(
                weight.shape, generator=generator, dtype=torch.float64).half().double()
    pipeline = StableDiffusionPipeline(
        vae=autoencoder, text_encoder=text, tokenizer=tokenizer, unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, **SCHEDULE),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False)
    for network in (text, unet, autoencoder):
        network.half()
    pipeline.save_pretrained(folder)
    for network in (text, unet, autoencoder):
        network.double()
    return pipeline


def hidden(pipeline, text, weights, chunks, clip_skip):
    """`[1, 77 * chunk, channel]`, and how many chunks there are: no text here has a comma."""
    tokenizer, end = pipeline.tokenizer, pipeline.tokenizer.eos_token_id
    ids, scale = [], []
    for word in text.split():
        word = word.strip("()[]").split(":")[0]
        found = tokenizer(word, add_special_tokens=False).input_ids
        ids += found
        scale += [weights.get(word, 1)] * len(found)
    parts = []
    for start in range(0, max(len(ids), 1), 75):
        part, weight = ids[start:start + 75], scale[start:start + 75]
        parts.append(([tokenizer.bos_token_id, *part] + [end] * (76 - len(part)),
                      [1, *weight] + [1] * (76 - len(part))))
    while len(parts) < chunks:
        parts.append(([tokenizer.bos_token_id] + [end] * 76, [1] * 77))
    states = []
    for part, weight in parts:
        result = pipeline.text_encoder(torch.tensor([part]), output_hidden_states=True)
        norm = next(module for name, module in pipeline.text_encoder.named_modules()
                    if name.endswith("final_layer_norm"))
        state = (result.last_hidden_state if clip_skip == 1
                 else norm(result.hidden_states[-clip_skip]))
        weighted = state * torch.tensor(weight, dtype=state.dtype)[None, :, None]
        states.append(weighted * (state.mean() / weighted.mean()))
    return torch.cat(states, dim=1), len(parts)


def texts(pipeline, case):
    """What the denoiser is given of a case's prompt and of its negative one."""
    weights, skip = case.get("weights", {}), case.get("clip_skip", 1)
    chunks = max(hidden(pipeline, case[which], weights, 1, skip)[1]
                 for which in ("prompt", "negative"))
    positive, _ = hidden(pipeline, case["prompt"], weights, chunks, skip)
    negative, _ = hidden(pipeline, case["negative"], {}, chunks, skip)
    return positive, negative


def draw(pipeline, case, side=SIDE):
    """What diffusers makes of a case, with `side` latents on a side."""
    positive, negative = case.get("embeddings") or texts(pipeline, case)
    kind, options = SCHEDULERS[case["sampler"], case["spacing"]]
    base = SCHEDULE if kind not in DISTILLED else {
        k: v for k, v in SCHEDULE.items() if k != "steps_offset"}
    pipeline.scheduler = kind(**base, **options)
    count, drawn = 4 * side * side, 0

    def noise(offset):
        normal = torch.from_numpy(philox_normal(case["seed"], count, offset=offset))
        return normal.to(pipeline.unet.dtype).reshape(1, 4, side, side)

    def fresh(*_, **__):
        nonlocal drawn
        drawn += 1
        return noise(drawn)

    for module in NOISY:
        module.randn_tensor = fresh
    arguments = dict(
        prompt_embeds=positive, negative_prompt_embeds=negative,
        eta=GAMMA if kind is TCDScheduler else 0,
        num_inference_steps=case["steps"], guidance_scale=case["guidance"], latents=noise(0))
    latents = pipeline(output_type="latent", **arguments).images
    pixels = pipeline.vae.decode(latents / pipeline.vae.config.scaling_factor).sample
    return {"hidden": positive[0], "negative": negative[0],
            "latents": channels_last(latents)[0], "pixels": channels_last(pixels)[0]}


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--merges", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    pipeline = build(options.merges, options.out / "checkpoint")
    pipeline.set_progress_bar_config(disable=True)
    tensors = {}
    for index, case in enumerate(CASES):
        for name, value in draw(pipeline, case).items():
            print(f"{index}.{name} {tuple(value.shape)}: deviation {value.std():.3f}, "
                  f"largest {value.abs().max():.2f}")
            tensors[f"{index}.{name}"] = value.float().contiguous()
    save_file(tensors, options.out / "goldens.safetensors")
    (options.out / "goldens.json").write_text(json.dumps(CASES, indent=1) + "\n")
    for file in options.out.rglob("*"):
        if file.is_file():
            file.chmod(0o644)


if __name__ == "__main__":
    main()

"""Checkpoints as people have them, for the tests of the importer.

    pip install diffusers==0.42.1 transformers torch safetensors
    python -m banana_training.checkpoint_fixtures --out ../Tests/Fixtures/checkpoints

`tiny` is a folder as diffusers saves it, with random weights in f16. `names.json` has, for the
architectures that there are and without any weights, what a single file (LDM's names) calls each
tensor and which of diffusers' it becomes, as diffusers' own conversion says; of tensors of which
several are made, the parts.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, PNDMScheduler, UNet2DConditionModel
from diffusers.loaders import single_file_utils
from transformers import CLIPTextConfig, CLIPTextModel

from .diffusers_goldens import randomize

CROSS, PLAIN = "CrossAttnDownBlock2D", "DownBlock2D"
UP_CROSS, UP_PLAIN = "CrossAttnUpBlock2D", "UpBlock2D"
FOUR = dict(block_out_channels=[320, 640, 1280, 1280], layers_per_block=2,
            down_block_types=[CROSS] * 3 + [PLAIN], up_block_types=[UP_PLAIN] + [UP_CROSS] * 3)
PRUNED = dict(block_out_channels=[320, 640, 1280], layers_per_block=1, mid_block_type=None)
UNETS = {
    "sd15": dict(FOUR, cross_attention_dim=768),
    "inpainting": dict(FOUR, cross_attention_dim=768, in_channels=9),
    "sd21": dict(FOUR, cross_attention_dim=1024, attention_head_dim=[5, 10, 20, 20],
                 use_linear_projection=True),
    "tiny-sd": dict(PRUNED, cross_attention_dim=768, down_block_types=[CROSS] * 3,
                    up_block_types=[UP_CROSS] * 3),
    "sdxs": dict(PRUNED, cross_attention_dim=768, down_block_types=[PLAIN, CROSS, CROSS],
                 up_block_types=[UP_CROSS, UP_CROSS, UP_PLAIN]),
    "tiny": dict(block_out_channels=[32, 32], layers_per_block=1, cross_attention_dim=64,
                 down_block_types=[CROSS, PLAIN], up_block_types=[UP_PLAIN, UP_CROSS]),
}
AUTOENCODERS = {
    "kl": dict(block_out_channels=[128, 256, 512, 512], layers_per_block=2),
    "tiny": dict(block_out_channels=[32, 32], layers_per_block=1),
}
TEXT_ENCODERS = {
    # Stable Diffusion 2 reads OpenCLIP's last layer but one.
    "open-clip": dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=23,
                      num_attention_heads=16, hidden_act="gelu", vocab_size=49408),
    "tiny": dict(hidden_size=64, intermediate_size=96, num_hidden_layers=2,
                 num_attention_heads=1, hidden_act="quick_gelu", vocab_size=524,
                 bos_token_id=522, eos_token_id=523, pad_token_id=523),
}


class Tag:
    """Stands for a tensor in diffusers' conversion and keeps where it came from."""

    def __init__(self, name, shape, part=None):
        self.name, self.shape, self.part = name, tuple(shape), part
        self.ndim = len(self.shape)

    def __getitem__(self, index):
        rows = index[0] if isinstance(index, tuple) else index
        if not isinstance(rows, slice) or rows == slice(None):
            return self
        size = self.shape[0] // 3
        return Tag(self.name, (size,) + self.shape[1:], (rows.start or 0) // size)

    def clone(self):
        return self

    detach = contiguous = clone

    @property
    def T(self):
        return self


def swap(name, pairs):
    for ours, theirs in pairs:
        name = name.replace(ours, theirs)
    return name


RESIDUAL = [("norm1", "in_layers.0"), ("conv1", "in_layers.2"), ("norm2", "out_layers.0"),
            ("conv2", "out_layers.3"), ("time_emb_proj", "emb_layers.1"),
            ("conv_shortcut", "skip_connection")]


def unet_name(name, layers, has_attention, stride):
    """LDM's name of a UNet's tensor; `stride` numbers on for each level."""
    outside = {"time_embedding.linear_1": "time_embed.0", "time_embedding.linear_2": "time_embed.2",
               "conv_in": "input_blocks.0.0", "conv_norm_out": "out.0", "conv_out": "out.2"}
    for ours, theirs in outside.items():
        if name.startswith(ours + "."):
            return name.replace(ours, theirs)
    part = name.split(".")
    if part[0] == "mid_block":
        index = 2 * int(part[2]) + (part[1] == "attentions")
        rest = ".".join(part[3:])
        return f"middle_block.{index}." + (swap(rest, RESIDUAL) if part[1] == "resnets" else rest)
    level, kind, layer, rest = int(part[1]), part[2], int(part[3]), ".".join(part[4:])
    if part[0] == "down_blocks":
        if kind == "downsamplers":
            return f"input_blocks.{stride * level + layers + 1}.0.op.{part[-1]}"
        block = f"input_blocks.{stride * level + layer + 1}"
    else:
        if kind == "upsamplers":
            slot = 2 if has_attention[level] else 1
            # Whoever numbers as if there were three in a level has it in the third.
            return f"output_blocks.{stride * level + stride - 1}.{slot}.conv.{part[-1]}"
        block = f"output_blocks.{stride * level + layer}"
    return f"{block}.0.{swap(rest, RESIDUAL)}" if kind == "resnets" else f"{block}.1.{rest}"


def autoencoder_name(name, levels):
    part = name.split(".")
    if name.startswith(("quant_conv", "post_quant_conv")) or part[1] in ("conv_in", "conv_out"):
        return name
    if part[1] == "conv_norm_out":
        return name.replace("conv_norm_out", "norm_out")
    rest = swap(".".join(part[4:]), [("conv_shortcut", "nin_shortcut")])
    if part[1] == "mid_block":
        if part[2] == "resnets":
            return f"{part[0]}.mid.block_{int(part[3]) + 1}.{rest}"
        rest = swap(rest, [("group_norm", "norm"), ("to_out.0", "proj_out"), ("to_q", "q"),
                           ("to_k", "k"), ("to_v", "v")])
        return f"{part[0]}.mid.attn_1.{rest}"
    rest = swap(".".join(part[5:]), [("conv_shortcut", "nin_shortcut")])
    if part[1] == "down_blocks":
        side = f"{part[0]}.down.{part[2]}"
    else:
        side = f"{part[0]}.up.{levels - 1 - int(part[2])}"
    if part[3] == "resnets":
        return f"{side}.block.{part[4]}.{rest}"
    return f"{side}.{'downsample' if part[1] == 'down_blocks' else 'upsample'}.{rest}"


def open_clip_tensors(model):
    """OpenCLIP's own tensors: queries, keys and values in one, and a last layer that is not read."""
    width, hidden = model.config.hidden_size, model.config.intermediate_size
    shapes = {"positional_embedding": (77, width),
              "token_embedding.weight": (model.config.vocab_size, width),
              "ln_final.weight": (width,), "ln_final.bias": (width,),
              "text_projection": (width, width)}
    for layer in range(model.config.num_hidden_layers + 1):
        block = f"transformer.resblocks.{layer}."
        for name, rows, columns in [
                ("attn.in_proj_", 3 * width, width), ("attn.out_proj.", width, width),
                ("mlp.c_fc.", hidden, width), ("mlp.c_proj.", width, hidden)]:
            shapes[block + name + "weight"] = (rows, columns)
            shapes[block + name + "bias"] = (rows,)
        for norm in ("ln_1", "ln_2"):
            for kind in ("weight", "bias"):
                shapes[f"{block}{norm}.{kind}"] = (width,)
    return shapes


def record(converted, tensors, expected):
    """LDM's shapes, and what each of diffusers' names is made of."""
    assert set(converted) == set(expected), set(converted) ^ set(expected)
    made = {}
    for name, tag in converted.items():
        made[name] = tag.name if tag.part is None else [tag.name, tag.part]
    return {"shapes": tensors, "made": made}


def unet_record(case, stride=None):
    with torch.device("meta"):
        model = UNet2DConditionModel(**UNETS[case])
    config = dict(model.config)
    layers = config["layers_per_block"]
    has_attention = [kind == UP_CROSS for kind in config["up_block_types"]]
    shapes, names = {}, {}
    for name, tensor in model.state_dict().items():
        names[name] = unet_name(name, layers, has_attention, stride or layers + 1)
        shapes[names[name]] = list(tensor.shape)
    if stride is None:
        tagged = {"model.diffusion_model." + name: Tag(name, shape)
                  for name, shape in shapes.items()}
        converted = single_file_utils.convert_ldm_unet_checkpoint(tagged, config)
        return dict(record(converted, shapes, model.state_dict()), config=UNETS[case])
    return {"shapes": shapes, "made": names, "config": UNETS[case]}


def autoencoder_model(case):
    levels = len(AUTOENCODERS[case]["block_out_channels"])
    return AutoencoderKL(
        latent_channels=4, down_block_types=["DownEncoderBlock2D"] * levels,
        up_block_types=["UpDecoderBlock2D"] * levels, **AUTOENCODERS[case])


def autoencoder_record(case):
    with torch.device("meta"):
        model = autoencoder_model(case)
    levels = len(model.config["block_out_channels"])
    shapes = {}
    for name, tensor in model.state_dict().items():
        ldm = autoencoder_name(name, levels)
        is_matrix = ".mid.attn_1." in ldm and tensor.dim() == 2
        shapes[ldm] = list(tensor.shape) + [1, 1] * is_matrix
    tagged = {"first_stage_model." + name: Tag(name, shape) for name, shape in shapes.items()}
    converted = single_file_utils.convert_ldm_vae_checkpoint(tagged, model.config)
    config = dict(AUTOENCODERS[case], down_block_types=list(model.config["down_block_types"]),
                  up_block_types=list(model.config["up_block_types"]))
    return dict(record(converted, shapes, model.state_dict()), config=config)


def text_model(case):
    return CLIPTextModel(CLIPTextConfig(**TEXT_ENCODERS[case]))


def clip_names(model):
    """As files have them, whatever this version of transformers calls them in memory."""
    return {name if name.startswith("text_model.") else "text_model." + name: tensor
            for name, tensor in model.state_dict().items() if "position_ids" not in name}


def text_record(case):
    with torch.device("meta"):
        model = text_model(case)
    if case == "open-clip":
        shapes = open_clip_tensors(model)
        prefix = "cond_stage_model.model."
        tagged = {prefix + name: Tag(name, shape) for name, shape in shapes.items()}
        converted = single_file_utils.convert_open_clip_checkpoint(model, tagged, prefix)
        converted = {name: tag for name, tag in converted.items() if "text_projection" not in name}
        shapes = {name: list(shape) for name, shape in shapes.items()}
        return dict(record(converted, shapes, clip_names(model)), config=TEXT_ENCODERS[case])
    shapes = {name: list(tensor.shape) for name, tensor in clip_names(model).items()}
    return {"shapes": shapes, "made": {name: name for name in shapes},
            "config": TEXT_ENCODERS[case]}


def write_tokenizer(folder):
    """The first merges of CLIP's table, and the vocabulary that they make."""
    folder.mkdir(parents=True)
    root = Path(__file__).resolve().parents[2]
    lines = (root / "tokenizers/clip/merges.txt").read_text().splitlines()[:11]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n")
    # As GPT-2 writes bytes: printable ones as they are, the others from 256 on.
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    symbols = [chr(byte) for byte in plain] + [chr(256 + n) for n in range(256 - len(plain))]
    tokens = symbols + [symbol + "</w>" for symbol in symbols]
    tokens += [line.replace(" ", "") for line in lines[1:]]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    (folder / "vocab.json").write_text(
        json.dumps({token: index for index, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "special_tokens_map.json").write_text(json.dumps({
        "bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>", "unk_token": "<|endoftext|>"}))


def write_folder(folder):
    generator = torch.Generator().manual_seed(20261129)
    parts = {"unet": UNet2DConditionModel(**UNETS["tiny"]), "vae": autoencoder_model("tiny"),
             "text_encoder": text_model("tiny")}
    for name, part in parts.items():
        part = part.double()
        randomize(part, generator)
        part.half().save_pretrained(folder / name)
    PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear",
                  skip_prk_steps=True, steps_offset=1, set_alpha_to_one=False
                  ).save_pretrained(folder / "scheduler")
    write_tokenizer(folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps({
        "_class_name": "StableDiffusionPipeline", "_diffusers_version": "0.42.1",
        "scheduler": ["diffusers", "PNDMScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"], "vae": ["diffusers", "AutoencoderKL"],
    }, indent=2))
    (folder / "README.md").write_text("---\nlicense: creativeml-openrail-m\n---\n\nRandom.\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    names = {"unet": {case: unet_record(case) for case in UNETS},
             "autoencoder": {case: autoencoder_record(case) for case in AUTOENCODERS},
             "textEncoder": {case: text_record(case) for case in TEXT_ENCODERS}}
    # Inpainting has Stable Diffusion's names.
    names["unet"].pop("inpainting")
    names["unet"]["tiny-sd-gaps"] = unet_record("tiny-sd", stride=3)
    (out / "names.json").write_text(json.dumps(names, separators=(",", ":")))
    if not (out / "tiny").exists():
        write_folder(out / "tiny")


if __name__ == "__main__":
    main()

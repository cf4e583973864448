"""Embeddings (textual inversions) in the forms that people have them in, and what diffusers' own
loader makes of prompts with them: over the tiny checkpoint of `stable_diffusion_goldens.py`.

    pip install diffusers==0.42.1 transformers==5.24.0 torch safetensors
    python -m banana_training.textual_inversion_goldens --fixtures ../Tests/Fixtures/goldens

In `embeddings`, for each case of `goldens.json`: what diffusers draws in f64 (`.hidden`,
`.negative`, `.latents`). Words are written in prompts as here; diffusers reads its own tokens.
"""

import argparse
import json
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from safetensors.torch import load_file, save_file

from .stable_diffusion_goldens import draw, hidden

# The name that each is installed under: the key in its file, vectors, type.
FILES = {
    "easynegative": ("emb_params", 3, torch.float32),
    "cat-toy": ("<toy>", 2, torch.float16),
    "sharp": ("clip_l", 1, torch.bfloat16),
}
CASES = [
    dict(prompt="a house <toy> in the rain", read="a house cat-toy in the rain",
         negative="EasyNegative fog", read_negative="easynegative fog", sampler="euler",
         spacing="trailing", steps=2, guidance=4, seed=7),
    dict(prompt="(embedding:easynegative:1.3) and sharp [<cat-toy>] the sea",
         read="easynegative and sharp cat-toy the sea", negative="", read_negative="",
         weights={"easynegative": 1.3, "cat-toy": 1 / 1.1}, sampler="euler", spacing="trailing",
         steps=2, guidance=3, seed=8),
    # The third word does not fit into the first chunk whole.
    dict(prompt="the " * 73 + "easynegative the", read="the " * 73 + "easynegative the",
         negative="", read_negative="", sampler="euler", spacing="trailing", steps=1, guidance=2,
         seed=9),
]


def expanded(text, weights):
    """The text with diffusers' own tokens, one for each vector, and their weights."""
    words, scale = [], {}
    for word in text.split():
        count = FILES[word][1] if word in FILES else 1
        tokens = [f"<{word}>" if i == 0 else f"<{word}>_{i}" for i in range(count)]
        tokens = tokens if word in FILES else [word]
        words += tokens
        scale |= {token: weights[word] for token in tokens if word in weights}
    return words, scale


def broken(words):
    """Padded so that a word of several vectors begins a chunk where it does not fit, as in
    AUTOMATIC1111's web UI: no text here has words of several tokens before it."""
    room = 75
    for index, word in enumerate(words):
        count = next((FILES[name][1] for name in FILES if word == f"<{name}>"), 1)
        if index < room < index + count:
            return words[:index], words[index:]
    return (words,)


def encoded(pipeline, text, weights, chunks=1):
    words, scale = expanded(text, weights)
    parts = [hidden(pipeline, " ".join(part), scale, 1, 1)[0] for part in broken(words)]
    while len(parts) < chunks:
        parts.append(hidden(pipeline, "", {}, 1, 1)[0])
    return torch.cat(parts, dim=1)


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--fixtures", type=Path, required=True)
    options = parser.parse_args()
    folder = options.fixtures / "embeddings"
    folder.mkdir(exist_ok=True)
    pipeline = StableDiffusionPipeline.from_pretrained(
        options.fixtures / "stable-diffusion/whole/checkpoint", torch_dtype=torch.float64)
    pipeline.set_progress_bar_config(disable=True)
    for network in (pipeline.text_encoder, pipeline.unet, pipeline.vae):
        network.double().eval()
    pipeline.tokenizer.model_max_length = 77
    width = pipeline.text_encoder.config.hidden_size
    generator = torch.Generator().manual_seed(5)
    for name, (key, count, kind) in FILES.items():
        path = folder / f"{name}.safetensors"
        save_file({key: torch.randn(count, width, generator=generator).to(kind)}, path)
        path.chmod(0o644)
        pipeline.load_textual_inversion(path, token=f"<{name}>")
        table = pipeline.text_encoder.get_input_embeddings().weight
        tokens = pipeline.tokenizer.convert_tokens_to_ids(
            [f"<{name}>" if i == 0 else f"<{name}>_{i}" for i in range(count)])
        assert torch.equal(table[tokens], load_file(path)[key].double()), name
    own = pipeline.encode_prompt("a house <cat-toy> in the rain", "cpu", 1, False)[0]
    ours = encoded(pipeline, "a house cat-toy in the rain", {})
    assert torch.allclose(own, ours, atol=1e-9), (own - ours).abs().max()
    tensors = {}
    for index, case in enumerate(CASES):
        positive = encoded(pipeline, case["read"], case.get("weights", {}))
        chunks = positive.shape[1] // 77
        negative = encoded(pipeline, case["read_negative"], {}, chunks)
        latents = draw(pipeline, dict(case, embeddings=(positive, negative)))["latents"]
        for name, value in [("hidden", positive[0]), ("negative", negative[0]),
                            ("latents", latents)]:
            tensors[f"{index}.{name}"] = value.float().contiguous()
            print(f"{index}.{name} {tuple(value.shape)}: deviation {value.std():.3f}")
    save_file(tensors, folder / "goldens.safetensors")
    kept = [{k: v for k, v in case.items() if not k.startswith("read")} for case in CASES]
    (folder / "goldens.json").write_text(json.dumps(kept, indent=1) + "\n")
    for file in folder.iterdir():
        file.chmod(0o644)


if __name__ == "__main__":
    main()

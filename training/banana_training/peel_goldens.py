"""Peels of Stable Diffusion's family as their own writers save them, and what diffusers draws with
each: over the tiny network of `diffusers_goldens.py`, random weights.

    pip install diffusers==0.42.1 peft==0.21.2 lycoris-lora==4.1.3 einops toml torch safetensors
    python -m banana_training.peel_goldens --fixtures ../Tests/Fixtures/goldens

`whole` is over the tiny checkpoint of `stable_diffusion_goldens.py`, its text encoder included: of
it there are the latents at the end, of some of that one's cases.

For each case NAME.safetensors, its numbers rounded to f16, and in goldens.safetensors the network's
prediction in f32, computed in f64, for the inputs of the network's own goldens. Every update
changes the prediction by 5 to 70 percent of its size, or a case would show nothing.
"""

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from .stable_diffusion_goldens import CASES, draw

LINEAR = ["to_q", "to_k", "to_v", "to_out.0", "ff.net.0.proj", "ff.net.2", "time_emb_proj"]
CONVOLUTION = ["conv1", "conv2", "conv_shortcut", "conv_in", "conv_out", "downsamplers.0.conv",
               "upsamplers.0.conv", "proj_in", "proj_out"]
ALL = LINEAR + CONVOLUTION + ["time_embedding.linear_1", "time_embedding.linear_2"]
PEFT = {
    "peft": dict(r=4, lora_alpha=7, target_modules=LINEAR),
    "peft-patterns": dict(
        r=3, lora_alpha=2, target_modules=LINEAR + ["proj_in"], use_rslora=True,
        rank_pattern={"to_q": 5, "mid_block.attentions.0.proj_in": 2}, alpha_pattern={"to_v": 9}),
    "peft-convolutions": dict(r=2, lora_alpha=3, target_modules=ALL),
    "peft-dora": dict(r=3, lora_alpha=3, target_modules=ALL, use_dora=True),
}
LYCORIS = {
    "locon": dict(algo="lora"),
    "tucker": dict(algo="lora", use_tucker=True),
    "loha": dict(algo="loha"),
    "loha-tucker": dict(algo="loha", use_tucker=True),
    "lokr": dict(algo="lokr", factor=3),
    "lokr-tucker": dict(algo="lokr", factor=3, use_tucker=True),
    "lokr-full": dict(algo="lokr", factor=5, full_matrix=True),
    "lokr-both": dict(algo="lokr", factor=11, decompose_both=True),
    "ia3": dict(algo="ia3"),
    "ia3-input": dict(algo="ia3"),
    "dora": dict(algo="lora", dora_wd=True),
}
KEPT = ("alpha", "on_input")
# One with guidance, and one that leaves out the last layer of the text encoder.
WHOLE = (0, 4)


def load_network(folder):
    from diffusers import UNet2DConditionModel

    network = UNet2DConditionModel.from_config(json.loads((folder / "config.json").read_text()))
    network = network.double().eval()
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    network.load_state_dict({
        name: (value.permute(0, 3, 1, 2) if value.dim() == 4 else value)
        .double().reshape(shapes[name])
        for name, value in load_file(folder / "weights.safetensors").items()})
    return network.requires_grad_(False)


def predict(network, given):
    with torch.no_grad():
        result = network(
            given["latents"].double().permute(0, 3, 1, 2), given["time"].double(),
            given["hidden"].double()).sample
    return result.permute(0, 2, 3, 1)


def randomize(parameters, size, generator):
    """Numbers of a size, rounded to f16; lengths of rows around what they are."""
    for name, parameter in parameters:
        noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        if "magnitude" in name or "dora_scale" in name:
            parameter.data = parameter.data.double() * (1 + 0.05 * noise)
        else:
            parameter.data = size * noise
        parameter.data = parameter.data.half().double()


def with_fitting_size(attempt):
    """Tries sizes of the numbers until the prediction changes neither too little nor too much."""
    for exponent in range(0, 8):
        change, result = attempt(0.5 ** exponent)
        if change < 0.7:
            assert change > 0.05, change
            return result
    raise AssertionError("no size of the numbers fits")


def halved(tensors):
    return {name: value.contiguous() if name.endswith(KEPT) else value.half().contiguous()
            for name, value in tensors.items()}


def distance(value, base):
    return float((value - base).norm() / base.norm())


class Writer:
    def __init__(self, fixtures):
        self.network_folder = fixtures / "stable-diffusion" / "unet-odd"
        self.given = load_file(self.network_folder / "goldens.safetensors")
        self.base = predict(self.network(), self.given)
        self.folder = fixtures / "peels"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.goldens = self.folder / "goldens.safetensors"
        self.predictions = load_file(self.goldens) if self.goldens.exists() else {}

    def network(self):
        return load_network(self.network_folder)

    def keep(self, name, prediction, file=None, tensors=None):
        path = self.folder / f"{name}.safetensors"
        if file:
            shutil.copyfile(file, path)
        else:
            save_file(tensors, path)
        path.chmod(0o644)
        self.predictions[name] = prediction.float().contiguous()
        print(f"{name}: {path.stat().st_size >> 10} KiB, prediction changes by "
              f"{distance(prediction, self.base):.2f}")

    def write_peft(self, name, configuration, seed):
        from diffusers import StableDiffusionPipeline
        from diffusers.loaders.lora_base import _pack_dict_with_prefix
        from diffusers.utils import convert_state_dict_to_diffusers, convert_state_dict_to_kohya
        from peft import LoraConfig
        from peft.utils import get_peft_model_state_dict

        def attempt(size):
            network = self.network()
            network.add_adapter(LoraConfig(**configuration))
            generator = torch.Generator().manual_seed(seed)
            randomize([(n, p) for n, p in network.named_parameters() if "lora_" in n], size,
                      generator)
            prediction = predict(network.double(), self.given)
            return distance(prediction, self.base), (network, prediction)

        network, prediction = with_fitting_size(attempt)
        state = get_peft_model_state_dict(network)
        layers = halved(convert_state_dict_to_diffusers(state))
        with tempfile.TemporaryDirectory() as folder:
            StableDiffusionPipeline.save_lora_weights(
                folder, unet_lora_layers=layers,
                unet_lora_adapter_metadata=network.peft_config["default"].to_dict())
            self.keep(name, prediction, file=Path(folder) / "pytorch_lora_weights.safetensors")
        if name == "peft":
            kohya = convert_state_dict_to_kohya({f"unet.{n}": v.half() for n, v in state.items()})
            # It takes the rank for alpha.
            alpha = torch.tensor(float(configuration["lora_alpha"]))
            kohya = {n: alpha.clone() if n.endswith(".alpha") else v for n, v in kohya.items()}
            assert any(n.endswith(".alpha") for n in kohya)
            self.keep("kohya", prediction, tensors=kohya)

    def write_whole(self):
        from diffusers import StableDiffusionPipeline
        from diffusers.utils import convert_state_dict_to_diffusers
        from peft import LoraConfig, inject_adapter_in_model
        from peft.utils import get_peft_model_state_dict

        pipeline = StableDiffusionPipeline.from_pretrained(
            self.folder.parent / "stable-diffusion/whole/checkpoint", dtype=torch.float64)
        pipeline.set_progress_bar_config(disable=True)
        unet, text = pipeline.unet, pipeline.text_encoder
        unet.add_adapter(LoraConfig(r=3, lora_alpha=2, target_modules=ALL))
        inject_adapter_in_model(LoraConfig(r=2, lora_alpha=3, target_modules=[
            "q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]), text)
        generator = torch.Generator().manual_seed(3)
        for network in (unet, text):
            network.double().eval()
            randomize([(n, p) for n, p in network.named_parameters() if "lora_" in n], 0.12,
                      generator)
        with tempfile.TemporaryDirectory() as folder:
            StableDiffusionPipeline.save_lora_weights(
                folder,
                unet_lora_layers=halved(
                    convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))),
                text_encoder_lora_layers=halved(
                    convert_state_dict_to_diffusers(get_peft_model_state_dict(text))),
                unet_lora_adapter_metadata=unet.peft_config["default"].to_dict(),
                text_encoder_lora_adapter_metadata=text.peft_config["default"].to_dict())
            path = self.folder / "whole.safetensors"
            shutil.copyfile(Path(folder) / "pytorch_lora_weights.safetensors", path)
            path.chmod(0o644)
        plain = load_file(self.folder.parent / "stable-diffusion/whole/goldens.safetensors")
        for index in WHOLE:
            with torch.no_grad():
                latents = draw(pipeline, CASES[index])["latents"]
            self.predictions[f"whole.{index}"] = latents.float().contiguous()
            print(f"whole.{index}: latents change by "
                  f"{distance(latents, plain[f'{index}.latents']):.2f}")

    def write_lycoris(self, name, configuration, seed):
        from lycoris import LycorisNetwork, create_lycoris

        options = {"train_on_input": True} if name == "ia3-input" else {}
        LycorisNetwork.apply_preset({
            "enable_conv": True, "target_module": ["UNet2DConditionModel"],
            "module_algo_map": {"UNet2DConditionModel": options}})

        def attempt(size):
            network = self.network()
            lycoris = create_lycoris(
                network, 1.0, linear_dim=3, linear_alpha=2, conv_dim=2, conv_alpha=1.5,
                **configuration)
            lycoris.apply_to()
            lycoris = lycoris.double().eval()
            generator = torch.Generator().manual_seed(seed)
            randomize(
                [(n, p) for n, p in lycoris.named_parameters() if not n.endswith("scalar")], size,
                generator)
            for part in lycoris.loras:
                if isinstance(getattr(part, "scalar", None), torch.nn.Parameter):
                    part.scalar.data.fill_(1)
            prediction = predict(network, self.given)
            return distance(prediction, self.base), (lycoris, prediction)

        lycoris, prediction = with_fitting_size(attempt)
        self.keep(name, prediction, tensors=halved(lycoris.state_dict()))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--fixtures", type=Path, required=True)
    parser.add_argument("--only", nargs="+", help="leaves the other cases as they are")
    arguments = parser.parse_args()
    writer = Writer(arguments.fixtures)
    for cases, write in [(PEFT, writer.write_peft), (LYCORIS, writer.write_lycoris)]:
        for seed, (name, configuration) in enumerate(cases.items()):
            if not arguments.only or name in arguments.only:
                write(name, configuration, seed)
    if not arguments.only or "whole" in arguments.only:
        writer.write_whole()
    save_file(writer.predictions, writer.goldens)
    writer.goldens.chmod(0o644)


if __name__ == "__main__":
    main()

"""What diffusers' schedulers make of noise with a network of closed form, step by step.

    pip install diffusers==0.42.1
    python -m banana_training.sampling_goldens \
        --out ../Tests/Fixtures/goldens/sampling/goldens.safetensors

Tensors are named SAMPLER.SPACING.PREDICTION.PROCESS.STEPS: `.x`, `[step + 1, number]`, are the
latents, scaled to variance 1 as the network sees them, from the first noise to the last step, and
`.time`, `[step]`, what the network is told. Processes: `usual` is Stable Diffusion's; `low` ends
DDIM at the first step of training; `zero` has no signal at the last one.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from diffusers import (DDIMScheduler, DPMSolverMultistepScheduler, EulerAncestralDiscreteScheduler,
                       EulerDiscreteScheduler, LCMScheduler, TCDScheduler)
from diffusers.schedulers import (scheduling_ddim, scheduling_euler_ancestral_discrete,
                                  scheduling_lcm, scheduling_tcd)
from safetensors.numpy import save_file

from banana_training.sampling import philox_normal

SEED = 7
SHAPE = (1, 4, 2, 3)
COUNT = 24
SCHEDULERS = {
    "euler": EulerDiscreteScheduler, "euler_a": EulerAncestralDiscreteScheduler,
    "ddim": DDIMScheduler, "lcm": LCMScheduler, "tcd": TCDScheduler,
    "dpmpp_2m": DPMSolverMultistepScheduler,
}
SPACINGS = {
    "euler": ["trailing", "leading", "karras"], "euler_a": ["trailing", "leading"],
    "ddim": ["trailing", "leading"], "lcm": ["lcm", "trailing"], "tcd": ["lcm", "trailing"],
    "dpmpp_2m": ["trailing", "leading", "karras"],
}
PREDICTIONS = {"noise": "epsilon", "rotation": "v_prediction"}


def network(x, time):
    """A linear map of x and the time, with which neighbours and places differ."""
    flat = x.reshape(-1)
    place = torch.sin(torch.arange(COUNT, dtype=torch.float32))
    out = 0.6 * flat + 0.3 * torch.roll(flat, -5) + 0.2 * place * (float(time) / 1000)
    return out.reshape(x.shape)


def scheduler_for(sampler, spacing, prediction, process):
    options = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear",
               "prediction_type": PREDICTIONS[prediction],
               "rescale_betas_zero_snr": process == "zero"}
    if sampler in ("ddim", "lcm", "tcd"):
        options |= {"clip_sample": False, "set_alpha_to_one": process != "low"}
    if sampler not in ("lcm", "tcd"):
        options |= {"steps_offset": 1}
        if spacing == "karras":
            options |= {"use_karras_sigmas": True, "timestep_spacing": "linspace"}
        else:
            options |= {"timestep_spacing": spacing}
    return SCHEDULERS[sampler](**options)


def trajectory(sampler, spacing, prediction, process, steps):
    scheduler = scheduler_for(sampler, spacing, prediction, process)
    if sampler in ("lcm", "tcd") and spacing == "trailing":
        scheduler.set_timesteps(timesteps=[round(1000 - k * 1000 / steps) - 1 for k in range(steps)])
    else:
        scheduler.set_timesteps(steps)
    drawn = 0

    def fresh(*_, **__):
        nonlocal drawn
        drawn += 1
        return torch.from_numpy(philox_normal(SEED, COUNT, offset=drawn)).reshape(SHAPE)

    for module in (scheduling_ddim, scheduling_euler_ancestral_discrete, scheduling_lcm,
                   scheduling_tcd):
        module.randn_tensor = fresh
    noise = torch.from_numpy(philox_normal(SEED, COUNT)).reshape(SHAPE)
    x = noise * scheduler.init_noise_sigma
    taps, times = [], []
    for time in scheduler.timesteps:
        seen = scheduler.scale_model_input(x, time)
        taps.append(seen)
        times.append(float(time))
        x = scheduler.step(network(seen, time), time, x, return_dict=False)[0]
    taps.append(x)
    return (torch.stack(taps).reshape(steps + 1, COUNT).numpy().astype(np.float32),
            np.array(times, np.float32))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    tensors = {}
    for sampler, spacings in SPACINGS.items():
        cases = [(s, p, "usual") for s in spacings for p in PREDICTIONS]
        cases.append((spacings[0], "rotation", "zero"))
        if sampler == "ddim":
            cases += [(spacing, "noise", "low") for spacing in spacings]
        for spacing, prediction, process in cases:
            for steps in (1, 2, 4, 20):
                # diffusers' Euler takes both ends from as many even steps: from one, the lowest.
                if (sampler, spacing, steps) == ("euler", "karras", 1):
                    continue
                name = f"{sampler}.{spacing}.{prediction}.{process}.{steps}"
                tensors[f"{name}.x"], tensors[f"{name}.time"] = trajectory(
                    sampler, spacing, prediction, process, steps)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out)


if __name__ == "__main__":
    main()

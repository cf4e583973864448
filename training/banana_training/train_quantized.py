"""Trains the student on under the quantization that it ships with.

    python -m banana_training.train_quantized --data stickers.tar.xz --state STATE --until 15:00

Dynamic quantization-aware training: int4 weights with learned scales, int8 where a measured
sensitivity asks for it, activations int8 a token as in the kernels; the bits of int4 weights
fall from 8 to 4 over the first part of the run. The f32 student teaches (Hinton et al. 2015).
Reads STATE/student.pt; saves and resumes STATE/quantized.pt; the bits are in STATE/bits.json.
"""

import json
from pathlib import Path

import torch

from .quantization import chosen_bits, quantizable, quantize, sensitivity, set_levels
from .sampling import SHIFT, sigmas
from .drawing import averaged_denoiser
from .train_denoiser import Run, noise_levels, noisy, opened, options, predicted
from .trainer import save_json, train


def measured_bits(state, run):
    """Bits of every linear by its sensitivity, measured once on one batch at the level 1."""
    path = Path(state) / "bits.json"
    if path.exists():
        return json.loads(path.read_text())["bits"]
    batch = run.batch()
    sigma = torch.ones(len(batch.clean), device=batch.clean.device)
    inputs = (noisy(batch, sigma), sigma, batch.hidden, batch.pooled, batch.mask)

    def build():
        return averaged_denoiser(state, "student.pt")[0].to(batch.clean.device)

    errors = sensitivity(build, inputs, quantizable(build()))
    bits = chosen_bits(errors)
    save_json({"sensitivity": errors, "bits": bits}, path)
    return bits


class MatchingRun(Run):
    """A changed student under training, with the f32 student that teaches it.

    Most of the noise levels are those at which the sampler asks.
    """

    def levels(self):
        asked = torch.tensor(sigmas(4, SHIFT)[:-1], device=self.device)
        asked = asked[torch.randint(len(asked), (self.k.batch,), device=self.device)]
        return torch.where(torch.rand(self.k.batch, device=self.device) < 0.7, asked,
                           noise_levels(self.k.batch, self.device))

    def loss(self, batch, sigma):
        x = noisy(batch, sigma)
        with torch.no_grad():
            goal = predicted(self.teacher, x, sigma, batch, self.half)
        clean = predicted(self.model, x, sigma, batch, self.half)
        error = (clean - batch.clean).square().mean()
        return (clean - goal).square().mean() + self.k.data_weight * error, error


class QuantizedRun(MatchingRun):
    """The quantized student under training."""

    file = "quantized.pt"

    def initial(self, stored):
        self.teacher = averaged_denoiser(self.k.state, "student.pt")[0].to(self.device)
        model = averaged_denoiser(self.k.state, "student.pt")[0].to(self.device)
        return quantize(model.requires_grad_(True), measured_bits(self.k.state, self))

    def advance(self, factor, progress=0.0):
        set_levels(self.model, max(4.0, 8.0 - 4.0 * progress / self.k.anneal))
        return super().advance(factor, progress)


def parsed(arguments=None):
    parser = options(__doc__, rate=4e-4, rest_rate=2e-4)
    parser.add_argument("--anneal", type=float, default=0.4,
                        help="the part of the run over which bits fall from 8 to 4")
    parser.add_argument("--data-weight", type=float, default=0.5)
    return parser.parse_args(arguments)


def main():
    k = parsed()
    train(QuantizedRun(k, *opened(k)), k)


if __name__ == "__main__":
    main()

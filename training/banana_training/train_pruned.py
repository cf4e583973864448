"""Removes the channels of least effect from the student and heals it by distillation.

    python -m banana_training.train_pruned --data stickers.tar.xz --state STATE --until 15:00

Structured pruning of each SwiGLU's hidden channels (Molchanov et al. 2017: a channel's effect is
what it adds to the output, here |activation| · |column of `down`|, over one batch); the whole
student then teaches the pruned one (Hinton et al. 2015). Reads STATE/student.pt; saves and
resumes STATE/pruned.pt. Whether it pays is what `variants.py` measures.
"""

from dataclasses import replace

import torch

from .denoiser import Denoiser
from .drawing import averaged_denoiser
from .train_denoiser import noisy, opened, options
from .train_quantized import MatchingRun
from .trainer import train


@torch.no_grad()
def channel_effects(model, batch):
    """Effect of each hidden channel of each layer, [layers][hidden width]."""
    effects, hooks = [None] * len(model.layers), []
    for i, layer in enumerate(model.layers):
        def note(module, inputs, i=i):
            effects[i] = inputs[0].square().mean((0, 1)).sqrt() * module.weight.norm(dim=0)
        hooks.append(layer.down.register_forward_pre_hook(note))
    sigma = torch.ones(len(batch.clean), device=batch.clean.device)
    model(noisy(batch, sigma), sigma, batch.hidden, batch.pooled, batch.mask)
    for hook in hooks:
        hook.remove()
    return effects


@torch.no_grad()
def pruned(model, effects, width):
    """A denoiser with the `width` hidden channels of most effect in each layer."""
    smaller = Denoiser(replace(model.configuration, hidden_width=width))
    state = model.state_dict()
    for i, effect in enumerate(effects):
        kept = effect.topk(width).indices.sort().values.cpu()
        for name in ("gate", "up"):
            key = f"layers.{i}.{name}.weight"
            state[key] = state[key][kept]
        key = f"layers.{i}.down.weight"
        state[key] = state[key][:, kept]
    smaller.load_state_dict(state)
    return smaller


class PrunedRun(MatchingRun):
    """The pruned student under training, with the whole one that teaches it."""

    file = "pruned.pt"

    def initial(self, stored):
        self.teacher = averaged_denoiser(self.k.state, "student.pt")[0].to(self.device)
        width = int(self.teacher.configuration.hidden_width * self.k.keep) // 32 * 32
        return pruned(self.teacher, channel_effects(self.teacher, self.batch()), width)


def parsed(arguments=None):
    parser = options(__doc__, rate=1e-3, rest_rate=5e-4)
    parser.add_argument("--keep", type=float, default=0.75, help="share of the hidden channels")
    parser.add_argument("--data-weight", type=float, default=0.5)
    return parser.parse_args(arguments)


def main():
    k = parsed()
    train(PrunedRun(k, *opened(k)), k)


if __name__ == "__main__":
    main()

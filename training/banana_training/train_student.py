"""Distils the guided teacher into a student for one, two or four steps without guidance.

    python -m banana_training.train_student --data stickers.tar.xz --state STATE --until 15:00

Latent consistency distillation (Luo et al. 2023, "Latent Consistency Models", algorithm 1): the
student's clean latent at a noise level shall equal that of its own running average at the next
lower level, to which one guided Euler step of the teacher leads. Because a caption nearly
determines its picture here, the true latent is a second target (`--data-weight`): the student
may learn what the teacher has not. Reads STATE/denoiser.pt; saves and resumes STATE/student.pt.
"""

import copy

import torch

from .sampling import SHIFT, sigmas
from .drawing import averaged_denoiser
from .train_denoiser import Run, noisy, opened, options, predicted
from .trainer import train

SAMPLED = 4


class ConsistencyRun(Run):
    """The student under training, with its teacher and its running average."""

    file = "student.pt"

    def __init__(self, k, examples, texts, device):
        super().__init__(k, examples, texts, device)
        self.teacher = averaged_denoiser(k.state)[0].to(device)
        self.target = copy.deepcopy(self.model).requires_grad_(False)
        if self.path.exists():
            stored = torch.load(self.path, map_location=device, weights_only=True)
            self.target.load_state_dict(stored["target"])
        self.grid = torch.tensor(sigmas(k.grid, SHIFT), device=device)
        empty = texts.batch(torch.zeros(1, dtype=torch.long))
        self.empty = [t.to(device) for t in empty]

    def initial(self, stored):
        return averaged_denoiser(self.k.state)[0].requires_grad_(True)

    def state(self):
        return super().state() | {"target": self.target.state_dict()}

    def levels(self):
        """Indices into the grid; four tenths are levels at which the sampler asks."""
        index = torch.randint(self.k.grid, (self.k.batch,), device=self.device)
        asked = torch.randint(SAMPLED, (self.k.batch,), device=self.device) \
            * (self.k.grid // SAMPLED)
        return torch.where(torch.rand(self.k.batch, device=self.device) < 0.4, asked, index)

    def guided_step(self, x, sigma, after, batch):
        """One Euler step of the teacher's guided ODE from sigma to `after`."""
        b, length = batch.mask.shape
        hidden, pooled, mask = self.empty
        hidden, pooled, mask = (t.expand(b, *t.shape[1:])
                                for t in (hidden[:, :length], pooled, mask[:, :length]))
        both = batch._replace(hidden=torch.cat([batch.hidden, hidden.float()]),
                              pooled=torch.cat([batch.pooled, pooled.float()]),
                              mask=torch.cat([batch.mask, mask]))
        clean = predicted(self.teacher, torch.cat([x, x]), torch.cat([sigma, sigma]), both,
                          self.half)
        given, free = clean.chunk(2)
        clean = free + self.k.guidance * (given - free)
        return clean + (after / sigma)[:, None, None] * (x - clean)

    def loss(self, batch, index):
        sigma, after = self.grid[index], self.grid[index + 1]
        x = noisy(batch, sigma)
        with torch.no_grad():
            y = self.guided_step(x, sigma, after, batch)
            goal = predicted(self.target, y, after, batch, self.half)
            goal = torch.where((after > 0)[:, None, None], goal, y)
        clean = predicted(self.model, x, sigma, batch, self.half)
        error = (clean - batch.clean).square().mean()
        loss = (clean - goal).square().mean() + self.k.data_weight * error
        return loss, error

    def advance(self, factor, progress=0.0):
        figures = super().advance(factor, progress)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.target.parameters()), self.parameters,
                                 1 - self.k.target_decay)
        return figures


def parsed(arguments=None):
    parser = options(__doc__, rate=1e-3, rest_rate=5e-4)
    parser.add_argument("--grid", type=int, default=16, help="levels of the teacher's ODE")
    parser.add_argument("--guidance", type=float, default=1.75)
    parser.add_argument("--data-weight", type=float, default=0.5)
    parser.add_argument("--target-decay", type=float, default=0.95)
    return parser.parse_args(arguments)


def main():
    k = parsed()
    train(ConsistencyRun(k, *opened(k)), k)


if __name__ == "__main__":
    main()

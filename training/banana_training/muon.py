"""Muon (Jordan et al. 2024): momentum whose matrix updates are made orthogonal.

Convolutions count as matrices [out, the rest]. Those of one shape are stacked over layers, so
that the Newton-Schulz iterations are few large products. Updates are scaled to the size of AdamW's
(Liu et al. 2025, "Muon is Scalable").
"""

import torch


def orthogonalised(g, steps=5, half=True):
    """The nearest semi-orthogonal matrices of [n, rows, columns] by a quintic iteration.

    In bf16 if `half`: the iteration forgives that.
    """
    a, b, c = 3.4445, -4.7750, 2.0315
    x = g.bfloat16() if half else g.float()
    if tall := x.shape[1] > x.shape[2]:
        x = x.transpose(1, 2)
    x = x / (x.flatten(1).float().norm(dim=1)[:, None, None].to(x.dtype) + 1e-7)
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    def __init__(self, parameters, lr, momentum=0.95, half=True):
        super().__init__(parameters, {"lr": lr, "momentum": momentum})
        self.half = half

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            by_shape = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(tuple(p.shape), []).append(p)
            for shape, parameters in by_shape.items():
                gradients, momenta = [p.grad for p in parameters], []
                for p in parameters:
                    if "momentum" not in self.state[p]:
                        self.state[p]["momentum"] = torch.zeros_like(p)
                    momenta.append(self.state[p]["momentum"])
                torch._foreach_lerp_(momenta, gradients, 1 - group["momentum"])
                ahead = torch._foreach_lerp(gradients, momenta, group["momentum"])
                flat = torch.stack(ahead).flatten(2)
                update = orthogonalised(flat, half=self.half).to(parameters[0].dtype)
                size = 0.2 * max(flat.shape[1:]) ** 0.5 * group["lr"]
                update = update.reshape(len(ahead), *shape)
                torch._foreach_add_(parameters, list(update.unbind(0)), alpha=-size)

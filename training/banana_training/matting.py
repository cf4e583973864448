"""What the engine does to the alpha of a decoded picture."""

import torch

# What the decoder gives for clear and for opaque.
ALPHA_RANGE = (0.08, 0.9)


def matted(picture, alpha_range):
    """As the engine takes over a picture: no colour exceeds alpha, whose range is stretched."""
    low, high = alpha_range
    alpha = picture[:, 3:].clamp(0, 1)
    colour = torch.minimum(picture[:, :3].clamp(min=0), alpha)
    stretched = ((alpha - low) / (high - low)).clamp(0, 1)
    return torch.cat([colour * stretched / alpha.clamp(min=1e-9), stretched], 1)

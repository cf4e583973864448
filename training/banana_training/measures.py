"""What is seen in single pictures: seams, detail, colour, counts, pairs.

Pictures are premultiplied RGBA [4, h, w] (or [n, 4, h, w]) in 0...1.
"""

import numpy as np
import torch
from scipy import ndimage

from .recolouring import colour_name
from .retrieval import squared_distances, thumbnails

# A step in brightness below which the true picture counts as flat.
FLAT_STEP = 0.004
# Parts smaller than this share of the largest are crumbs.
CRUMB_SHARE = 0.2


def on_white(pixels):
    """[..., 3, h, w] of premultiplied [..., 4, h, w]."""
    return pixels[..., :3, :, :] + (1 - pixels[..., 3:, :, :])


def psnr(drawn, truth):
    """In dB, over the four premultiplied channels."""
    return -10 * torch.log10((drawn - truth).square().mean().clamp(min=1e-10)).item()


def seam_sums(drawn, truth, patch):
    """Sum and number of steps across borders of patches and inside them, at flat places.

    [[sum, number] across, [sum, number] in the middle half of patches].
    """
    found = np.zeros((2, 2))
    for axis in (-1, -2):
        step, true_step = (on_white(x).diff(dim=axis).abs().mean(-3).movedim(axis, -1)
                           for x in (drawn, truth))
        place = torch.arange(step.shape[-1]) % patch
        flat = true_step < FLAT_STEP
        for row, chosen in enumerate((place == patch - 1,
                                      (place >= patch // 4) & (place < 3 * patch // 4 - 1))):
            kept = flat & chosen
            found[row] += float(step[kept].sum()), int(kept.sum())
    return found


def seam_figure(sums):
    """The mean step across borders over that inside, of added `seam_sums`."""
    (across, borders), (inside, middles) = sums
    return float((across / max(borders, 1)) / max(inside / max(middles, 1), 1e-9))


def edges(pixels):
    """The sum of absolute 4-neighbour Laplacians, over white."""
    x = on_white(pixels)
    centre = x[..., 1:-1, 1:-1]
    around = x[..., :-2, 1:-1] + x[..., 2:, 1:-1] + x[..., 1:-1, :-2] + x[..., 1:-1, 2:]
    return float((around - 4 * centre).abs().sum())


def bytes_of(pixels):
    """[h, w, 4] premultiplied bytes of [4, h, w]."""
    return (pixels.clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).numpy()


def main_colour(pixels):
    """The one of COLOURS that most of a picture has, or None."""
    return colour_name(bytes_of(pixels))


def parts(pixels):
    """The number of connected parts of what is opaque; crumbs do not count."""
    labels, found = ndimage.label(pixels[3].numpy() > 0.5, np.ones((3, 3)))
    areas = np.bincount(labels.ravel(), minlength=found + 1)[1:]
    return int((areas >= CRUMB_SHARE * areas.max()).sum()) if found else 0


def halves(pixels):
    """Left and right half [2, 4, h, h] of [4, h, w], with clear borders made square."""
    h, w = pixels.shape[1:]
    margin = (h - w // 2) // 2
    return torch.stack([torch.nn.functional.pad(pixels[:, :, x:x + w // 2],
                                                (margin, h - w // 2 - margin))
                        for x in (0, w // 2)])


def nearest(pixels, gallery):
    """Rows of a gallery of thumbnails [m, 32, 32, 3] nearest to pictures [n, 4, h, w]."""
    return squared_distances(thumbnails(pixels), gallery).argmin(1).tolist()

"""Pictures in other colours: the dominant colour of a thing turned to one that has a name.

Works in OKLab (Ottosson 2020, "A perceptual color space for image processing"). Shading, outlines
and what has another hue stay as they are.
"""

import numpy as np

COLOURS = {"red": "#dd2a2a", "orange": "#f5821f", "yellow": "#fbd22f", "green": "#34a84f",
           "blue": "#2f6fdc", "purple": "#8a41c6", "pink": "#f57fb6", "brown": "#86522f",
           "black": "#2c2c30", "white": "#f3f3f5", "grey": "#8d9095"}
WITHOUT_HUE = {"black", "white", "grey"}
ONE = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                [0.2119034982, 0.6806995451, 0.1073969566],
                [0.0883024619, 0.2817188376, 0.6299787005]], np.float32)
TWO = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                [1.9779984951, -2.4285922050, 0.4505937099],
                [0.0259040371, 0.7827717662, -0.8086757660]], np.float32)
ONE_BACK, TWO_BACK = np.linalg.inv(ONE), np.linalg.inv(TWO)
LINEAR = np.arange(256, dtype=np.float32) / 255
LINEAR = np.where(LINEAR <= 0.04045, LINEAR / 12.92, ((LINEAR + 0.055) / 1.055) ** 2.4)


def oklab(rgb):
    """[..., 3] L, a, b of [..., 3] sRGB bytes."""
    return np.cbrt(LINEAR[rgb] @ ONE.T) @ TWO.T


def rgb(lab):
    """[..., 3] sRGB in 0...1 of L, a, b, clipped to what can be shown."""
    linear = ((lab @ TWO_BACK.T) ** 3 @ ONE_BACK.T).clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


ANCHORS = {name: oklab(np.array([int(code[i:i + 2], 16) for i in (1, 3, 5)]))
           for name, code in COLOURS.items()}

# Hue and chroma tell colours apart better than how light a place is.
LIGHTNESS_WEIGHT = np.array([0.6, 1, 1], np.float32)


def step(x, low, high):
    """0 below low, 1 above high, smooth between."""
    t = ((x - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)


def visible(pixels):
    """OKLab [n, 3] and alpha [n] in 0...1 of what is not clear in premultiplied [h, w, 4] bytes."""
    shown = pixels[pixels[..., 3] > 8].astype(np.uint16)
    straight = np.minimum(shown[:, :3] * 255 // shown[:, 3:], 255)
    return oklab(straight), shown[:, 3] / np.float32(255)


def angle_between(a, b):
    """The distance of angles, 0...pi."""
    return np.abs((a - b + np.pi) % (2 * np.pi) - np.pi)


def dominant(lab, alpha):
    """(mask [n] of what belongs to the dominant colour in 0...1, whether that has a hue)."""
    chroma, hue = np.hypot(lab[:, 1], lab[:, 2]), np.arctan2(lab[:, 2], lab[:, 1])
    coloured, dark = chroma > 0.06, lab[:, 0] < 0.42
    if (alpha * dark * (chroma < 0.09)).sum() > 0.6 * alpha.sum():
        return 1 - step(chroma, 0.07, 0.12), False
    body = (lab[:, 0] > 0.3) | coloured
    if (alpha * coloured).sum() < 0.4 * (alpha * body).sum():
        return (1 - step(chroma, 0.07, 0.13)) * step(lab[:, 0], 0.22, 0.35), False
    weights, edges = np.histogram(hue, 36, (-np.pi, np.pi), weights=alpha * chroma * coloured)
    smooth = weights + np.roll(weights, 1) + np.roll(weights, -1)
    peak = edges[smooth.argmax()] + np.pi / 36
    return (1 - step(angle_between(hue, peak), 0.6, 1.0)) * step(chroma, 0.02, 0.05), True


def recoloured(pixels, colour):
    """Premultiplied [h, w, 4] bytes with the dominant colour turned to one of COLOURS."""
    lab, alpha = visible(pixels)
    mask, has_hue = dominant(lab, alpha)
    if not (mask > 0.5).any():
        return pixels
    anchor, inside = ANCHORS[colour], mask > 0.5
    light = np.median(lab[inside, 0])
    chroma = np.hypot(lab[:, 1], lab[:, 2])
    # What had no hue takes on the same chroma everywhere.
    relative = (chroma / np.median(chroma[inside])).clip(0.5, 1.3)[:, None] if has_hue else 1
    turned = np.empty_like(lab)
    contrast = 0.6 if colour in ("black", "white") else 0.85
    turned[:, 0] = (anchor[0] + contrast * (lab[:, 0] - light)).clip(0.05, 0.99)
    turned[:, 1:] = anchor[1:] * (1 if colour in WITHOUT_HUE else relative)
    mixed = lab + mask[:, None] * (turned - lab)
    result = pixels.copy()
    result[pixels[..., 3] > 8, :3] = rgb(mixed) * (alpha[:, None] * 255) + 0.5
    return result


def colour_name(pixels):
    """The one of COLOURS that most of a premultiplied picture is nearest to, or None."""
    lab, alpha = visible(pixels)
    if not len(lab):
        return None
    anchors = np.stack(list(ANCHORS.values())) * LIGHTNESS_WEIGHT
    distance = np.square(anchors).sum(1) - 2 * (lab * LIGHTNESS_WEIGHT) @ anchors.T
    votes = np.bincount(distance.argmin(1), alpha, minlength=len(COLOURS))
    return list(COLOURS)[int(votes.argmax())]

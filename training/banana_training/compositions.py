"""Composed pictures and what is said of them: coloured things, several, pairs, one on another.

A composition is a dictionary: kind (one of KINDS), style, things (names in the data), colours (one
a thing, or None), count. It determines its picture, as a caption does in the data. Which colours,
counts and pairs are held out is decided by digests of their names: those make the validation split
and are never trained.
"""

import numpy as np
from PIL import Image

from .data import SIZE, digest
from .recolouring import colour_name, recoloured
from .things import THINGS

# Shares of what is composed.
KINDS = {"colour": 0.36, "pair": 0.26, "count": 0.18, "hat": 0.08, "on": 0.05, "size": 0.07}
HELD_OUT_ONE_IN = 12
MARGIN = 4


def is_held_out(composition):
    """Whether the split keeps a composition out of training, by any colour, count or pair in it."""
    things, colours = composition["things"], composition["colours"]
    facts = [f"colour {colour} {thing}" for thing, colour in zip(things, colours) if colour]
    if composition["count"] > 1:
        facts.append(f"count {composition['count']} {things[0]}")
    if len(things) == 2:
        facts.append("pair " + " + ".join(sorted(things)))
    return any(digest(fact) % HELD_OUT_ONE_IN == 0 for fact in facts)


class Things:
    """The data's pictures of things by name and style, cropped to what is visible."""

    def __init__(self, pictures):
        self.pictures, self.by_style, self.crops, self.verdicts = pictures, {}, {}, {}
        wanted = set(THINGS)
        for p in pictures.index:
            if p.name in wanted and not p.validation:
                self.by_style.setdefault(p.style, {})[p.name] = p
        self.styles = list(self.by_style)

    def names(self, style, among=THINGS):
        return [name for name in among if name in self.by_style[style]]

    def picture(self, style, name):
        """[h, w, 4] premultiplied bytes of a thing without its clear borders."""
        if (style, name) not in self.crops:
            pixels = np.array(self.pictures[self.by_style[style][name]])
            self.crops[style, name] = cropped(pixels)
        return self.crops[style, name]

    def takes(self, style, name, colour):
        """Whether the thing turned to a colour is seen to have it."""
        key = style, name, colour
        if key not in self.verdicts:
            pixels = self.picture(style, name)[::3, ::3]
            self.verdicts[key] = colour_name(recoloured(pixels, colour)) == colour
        return self.verdicts[key]


def cropped(pixels):
    """Without the rows and columns that are clear."""
    shown = pixels[..., 3] > 8
    rows, columns = np.flatnonzero(shown.any(1)), np.flatnonzero(shown.any(0))
    if not len(rows):
        return pixels
    return pixels[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]


def fitted(pixels, height, width):
    """Premultiplied bytes made to fit into a box, the aspect kept."""
    scale = min(height / pixels.shape[0], width / pixels.shape[1])
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    # As CMYK, because resizing RGBA would multiply by alpha once more.
    small = np.array(Image.fromarray(np.ascontiguousarray(pixels), "CMYK")
                     .resize(size, Image.BICUBIC))
    small[..., :3] = np.minimum(small[..., :3], small[..., 3:])
    return small


def put(canvas, pixels, top, left):
    """Puts premultiplied bytes over a canvas, clipped at its borders."""
    top, left = round(top), round(left)
    h, w = pixels.shape[:2]
    y, x = max(0, top), max(0, left)
    bottom, right = canvas.shape[0] - top, canvas.shape[1] - left
    inside = pixels[y - top:bottom, x - left:right].astype(np.uint16)
    under = canvas[y:top + h, x:left + w]
    alpha = np.minimum(inside[..., 3:], 255)
    under[:] = np.minimum(inside + (under * (255 - alpha) + 127) // 255, 255)


# Side of the box and middles (y, x) of so many of one thing.
PLACES = {2: (122, [(128, 66), (128, 190)]), 3: (120, [(66, 128), (190, 66), (190, 190)]),
          4: (120, [(66, 66), (66, 190), (190, 66), (190, 190)]),
          5: (88, [(48, 48), (48, 208), (128, 128), (208, 48), (208, 208)])}
WHOLE = SIZE - 2 * MARGIN


def head_column(pixels):
    """The middle column of the highest part."""
    band = np.flatnonzero((pixels[:max(2, len(pixels) // 6), :, 3] > 127).any(0))
    return (band[0] + band[-1]) / 2


def alone(composition, parts, coloured):
    return [(coloured(0, fitted(parts[0], WHOLE, WHOLE)), SIZE / 2, SIZE / 2)]


def several(composition, parts, coloured):
    side, places = PLACES[composition["count"]]
    drawn = coloured(0, fitted(parts[0], side, side))
    return [(drawn, y, x) for y, x in places]


def side_by_side(composition, parts, coloured):
    return [(coloured(i, fitted(p, 200, 122)), y, x)
            for i, (p, (y, x)) in enumerate(zip(parts, PLACES[2][1]))]


def large_and_small(composition, parts, coloured):
    """Both stand on one line; the first named is on the left."""
    large = composition["large"]
    drawn = [coloured(i, fitted(p, *((WHOLE, 160) if i == large else (80, 80))))
             for i, p in enumerate(parts)]
    bottom = SIZE / 2 + drawn[large].shape[0] / 2
    return [(p, bottom - p.shape[0] / 2, x)
            for p, x in zip(drawn, (86, 212) if large == 0 else (44, 170))]


def one_on_another(composition, parts, coloured):
    """The second thing on the first: a hat on its head, anything else in the middle."""
    is_hat = composition["kind"] == "hat"
    side, overlap = (96, 0.34) if is_hat else (92, 0.14)
    worn = fitted(parts[1], side, side)
    body = fitted(parts[0], WHOLE - worn.shape[0] * (1 - overlap), WHOLE)
    body, worn = coloured(0, body), coloured(1, worn)
    top = SIZE - MARGIN - body.shape[0]
    column = head_column(body) if is_hat else body.shape[1] / 2
    half = worn.shape[1] / 2
    x = min(max((SIZE - body.shape[1]) / 2 + column, half), SIZE - half)
    return [(body, top + body.shape[0] / 2, SIZE / 2),
            (worn, top - worn.shape[0] * (0.5 - overlap), x)]


LAYOUTS = {"colour": alone, "count": several, "pair": side_by_side, "size": large_and_small,
           "hat": one_on_another, "on": one_on_another}


def composed_picture(composition, things):
    """[256, 256, 4] premultiplied bytes."""
    parts = [things.picture(composition["style"], name) for name in composition["things"]]

    def coloured(i, pixels):
        colour = composition["colours"][i]
        return recoloured(pixels, colour) if colour else pixels

    canvas = np.zeros((SIZE, SIZE, 4), np.uint8)
    for pixels, y, x in LAYOUTS[composition["kind"]](composition, parts, coloured):
        put(canvas, pixels, y - pixels.shape[0] / 2, x - pixels.shape[1] / 2)
    return canvas

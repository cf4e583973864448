"""How well what is asked for in composed captions is drawn: colours, counts, pairs.

Captions come from compositions that are held out (or, to compare, that are trained). Every figure
is also measured on the true pictures, which is what can be reached.
"""

import numpy as np
import torch

from .composed import spoken
from .compositions import Things, composed_picture, is_held_out
from .data import digest
from .measures import halves, main_colour, nearest, parts
from .recolouring import COLOURS
from .retrieval import thumbnails
from .things import PLURALS, THINGS, UNCOUNTED

KINDS = ["colour", "count", "pair"]


def tensor_of(pixels):
    return torch.from_numpy(pixels).permute(2, 0, 1) / 255


class Judge:
    """Compositions to ask for, and whether a picture shows what was asked for."""

    def __init__(self, pictures):
        self.things, self.galleries, self.own = Things(pictures), {}, {}

    def own_colour(self, style, name):
        """The colour that most of a thing has as it is."""
        if (style, name) not in self.own:
            self.own[style, name] = main_colour(tensor_of(self.things.picture(style, name)))
        return self.own[style, name]

    def can_be_judged(self, c):
        """Colours are not the thing's own, and its true picture is judged right."""
        if any(colour and (self.own_colour(c["style"], name) == colour or
                           not self.things.takes(c["style"], name, colour))
               for name, colour in zip(c["things"], c["colours"])):
            return False
        if c["kind"] == "count":
            pixels = composed_picture(c, self.things)
            return parts(tensor_of(pixels)) == c["count"]
        return True

    def compositions(self, kind, count, held_out=True):
        """At most `count` compositions of a kind, the same ones every time, spread evenly."""
        candidates, generator = [], np.random.default_rng(digest(kind) % 2 ** 32)
        for _ in range(1000 * count):
            if len(candidates) == count:
                break
            style = self.things.styles[generator.integers(len(self.things.styles))]
            names = self.things.names(style, [n for n in THINGS if n not in PLURALS | UNCOUNTED])
            chosen = [names[i] for i in generator.permutation(len(names))[:1 + (kind == "pair")]]
            c = {"kind": kind, "style": style, "things": chosen, "count": 1,
                 "colours": [None] * len(chosen)}
            if kind == "colour":
                c["colours"] = [str(generator.choice(list(COLOURS)))]
            if kind == "count":
                c["count"] = int(generator.integers(2, 6))
            if is_held_out(c) == held_out and self.can_be_judged(c) and \
                    not any(c.items() <= other.items() for other in candidates):
                candidates.append(c | {"caption": spoken(c, generator)})
        return candidates

    def gallery(self, style):
        """Names, and thumbnails of every thing of a style as it stands in half a picture."""
        if style not in self.galleries:
            names = self.things.names(style)
            found = []
            for name in names:
                c = {"kind": "pair", "style": style, "things": [name, name],
                     "colours": [None, None], "count": 1}
                left = halves(tensor_of(composed_picture(c, self.things)))[:1]
                found.append(thumbnails(left)[0])
            self.galleries[style] = names, torch.stack(found)
        return self.galleries[style]

    def is_shown(self, c, pixels):
        """Whether [4, 256, 256] shows the colour, the number or both things, on either side."""
        if c["kind"] == "colour":
            return main_colour(pixels) == c["colours"][0]
        if c["kind"] == "count":
            return parts(pixels) == c["count"]
        names, gallery = self.gallery(c["style"])
        return sorted(names[i] for i in nearest(halves(pixels), gallery)) == sorted(c["things"])

    def figures(self, kind, drawn, compositions):
        """Percentages of pictures that show what was asked for, and of the true ones."""
        truth = [tensor_of(composed_picture(c, self.things)) for c in compositions]
        own = [main_colour(x) == self.own_colour(c["style"], c["things"][0])
               for c, x in zip(compositions, drawn)]
        found = {"pictures": len(drawn),
                 "shown": share(self.is_shown(c, x) for c, x in zip(compositions, drawn)),
                 "trueOnesShown": share(self.is_shown(c, x) for c, x in zip(compositions, truth))}
        return found | ({"ownColour": share(own)} if kind == "colour" else {})


def share(truths):
    """Per cent of true values, one decimal."""
    return round(100 * float(np.mean(list(truths))), 1)

"""What is said about a picture: the template, its variations, and their cached encodings."""

import hashlib
from pathlib import Path

import numpy as np
import torch

TEMPLATE = "{style} sticker of {prompt}"
VARIANTS = ["name", "article", "definite", "keywords", "shuffled"]
CHANCES = np.array([0.42, 0.33, 0.05, 0.12, 0.08])


def prompt(style, text):
    return TEMPLATE.format(style=style, prompt=text)


# Attributes that stand before what they belong to.
BEFORE = {"beard": "bearded", "bald": "bald"}
# How words begin that are not spoken as they are written.
CONSONANTS = ("uni", "one", "euro", "UFO", "utility")
VOWELS = ("hour", "SUV", "X-ray", "x-ray")


def with_article(name):
    vowel = name[:1].lower() in "aeiou" and not name.startswith(CONSONANTS)
    return ("an " if vowel or name.startswith(VOWELS) else "a ") + name


def as_spoken(name):
    """A name as people say it: "man: dark skin tone, beard", "bearded man with dark skin tone"."""
    head, _, tail = name.partition(": ")
    attributes = [a for a in tail.split(", ") if a]
    before = [BEFORE[a] + " " for a in attributes if a in BEFORE]
    after = [a for a in attributes if a not in BEFORE]
    if head == "keycap":
        return " ".join([head, *after])
    return "".join(before) + head + (" with " + " and ".join(after) if after else "")


def variations(picture):
    """One text for each of VARIANTS. The tokenizer ignores case, so that need not vary."""
    seed = int(hashlib.sha256(picture.file.encode()).hexdigest()[:8], 16)
    generator = np.random.default_rng(seed)
    others = [k for k in picture.keywords if k != picture.name]
    generator.shuffle(others)
    shuffled = [picture.name] + others[:4]
    generator.shuffle(shuffled)
    spoken = as_spoken(picture.name)
    return [picture.name, with_article(spoken), "the " + spoken,
            ", ".join([picture.name] + others[:2]), ", ".join(shuffled)]


class TextCache:
    """Hidden states and pooled vectors of every caption, in f16, found by index.

    Caption 0 is the empty prompt of guidance; caption 1 + picture·len(VARIANTS) + variant
    belongs to that picture of the list given. What a file at `path` has is not encoded again.
    """

    def __init__(self, pictures, encoder, tokenizer, maximum_tokens=32, path=None):
        texts = [""] + [prompt(p.style, text) for p in pictures for text in variations(p)]
        self.maximum_tokens = maximum_tokens
        width = encoder.configuration.width
        stored = torch.load(path, weights_only=True) if path and Path(path).exists() else {
            "texts": [], "hidden": torch.zeros(0, width).half(), "begin": torch.zeros(0).long(),
            "pooled": torch.zeros(0, width).half(), "length": torch.zeros(0).long()}
        self.rows = {text: i for i, text in enumerate(stored["texts"])}
        self.hidden, self.pooled = stored["hidden"], stored["pooled"]
        self.begin, self.length = stored["begin"], stored["length"]
        new = sorted(set(texts) - self.rows.keys())
        if new:
            self._encode(new, encoder, tokenizer)
        if new and path:
            torch.save({"texts": list(self.rows), "hidden": self.hidden, "pooled": self.pooled,
                        "begin": self.begin, "length": self.length}, path)
        index = torch.tensor([self.rows[t] for t in texts])
        self.pooled, self.begin, self.length = (
            t[index] for t in (self.pooled, self.begin, self.length))

    @torch.no_grad()
    def _encode(self, texts, encoder, tokenizer):
        """Appends the encodings of texts."""
        hidden, pooled = encoded_texts(texts, encoder, tokenizer, self.maximum_tokens)
        self.rows |= dict(zip(texts, range(len(self.rows), len(self.rows) + len(texts))))
        length = torch.tensor([len(h) for h in hidden])
        self.begin = torch.cat([self.begin, len(self.hidden) + length.cumsum(0) - length])
        self.length = torch.cat([self.length, length])
        self.hidden = torch.cat([self.hidden, *hidden])
        self.pooled = torch.cat([self.pooled, pooled])

    def caption(self, pictures, variant):
        """As `batch`, of one of VARIANTS of pictures [b]."""
        return self.batch(1 + pictures * len(VARIANTS) + VARIANTS.index(variant))

    def batch(self, captions):
        """hidden [b, T, width], pooled [b, width], mask [b, T] of caption indices [b]."""
        span = torch.arange(self.maximum_tokens)
        mask = span < self.length[captions, None]
        rows = (self.begin[captions, None] + span).clamp_(max=len(self.hidden) - 1)
        return self.hidden[rows] * mask[..., None], self.pooled[captions], mask


def encode(encoder, token_lists):
    """Hidden states, pooled vectors and lengths of token lists, padded to the longest."""
    device = encoder.word_embedding.weight.device
    lengths = [len(t) for t in token_lists]
    ids = torch.zeros(len(lengths), max(lengths), dtype=torch.long)
    for row, tokens in zip(ids, token_lists):
        row[:len(tokens)] = torch.tensor(tokens)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    hidden, pooled = encoder(ids.to(device), mask.to(device))
    return hidden, pooled, lengths


@torch.no_grad()
def encoded_texts(texts, encoder, tokenizer, maximum_tokens=32, batch=256):
    """hidden [[length, width]] and pooled [n, width] in f16 of full texts."""
    tokens = [tokenizer(t)[:maximum_tokens] for t in texts]
    order = sorted(range(len(texts)), key=lambda i: len(tokens[i]))
    hidden = [None] * len(texts)
    pooled = torch.zeros(len(texts), encoder.configuration.width).half()
    for i in range(0, len(order), batch):
        rows = order[i:i + batch]
        h, p, lengths = encode(encoder, [tokens[r] for r in rows])
        for j, r in enumerate(rows):
            hidden[r] = h[j, :lengths[j]].half().cpu()
        pooled[rows] = p.half().cpu()
    return hidden, pooled

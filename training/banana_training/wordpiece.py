"""BERT's uncased WordPiece tokenizer (Devlin et al. 2019)."""

import unicodedata
from pathlib import Path


def _is_control(c):
    return c not in "\t\n\r" and unicodedata.category(c).startswith("C")


def _is_punctuation(c):
    code = ord(c)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(c).startswith("P")


def _is_ideograph(c):
    code = ord(c)
    return any(low <= code <= high for low, high in (
        (0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F),
        (0x2B740, 0x2B81F), (0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)))


class WordPiece:
    """Text to token ids, with [CLS] in front and [SEP] behind."""

    def __init__(self, vocabulary, maximum_tokens=64):
        if not isinstance(vocabulary, list):
            vocabulary = Path(vocabulary).read_text(encoding="utf-8").split("\n")
            if vocabulary[-1] == "":
                vocabulary.pop()
        self.ids = {token: i for i, token in enumerate(vocabulary)}
        self.maximum_tokens = maximum_tokens
        self.cls, self.sep = self.ids["[CLS]"], self.ids["[SEP]"]
        self.unknown, self.pad = self.ids["[UNK]"], self.ids["[PAD]"]

    def words(self, text):
        """Cleaned, lower-cased, accent-free words and single punctuation marks."""
        cleaned = []
        for c in text:
            if ord(c) in (0, 0xFFFD) or _is_control(c):
                continue
            if c.isspace() or unicodedata.category(c) == "Zs":
                cleaned.append(" ")
            elif _is_ideograph(c):
                cleaned.append(f" {c} ")
            else:
                cleaned.append(c)
        words = []
        for word in "".join(cleaned).split():
            word = unicodedata.normalize("NFD", word.lower())
            current = ""
            for c in word:
                if unicodedata.category(c) == "Mn":
                    continue
                if _is_punctuation(c):
                    words += [current, c] if current else [c]
                    current = ""
                else:
                    current += c
            if current:
                words.append(current)
        return words

    def pieces(self, word):
        if len(word) > 100:
            return [self.unknown]
        found, start = [], 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = ("##" if start else "") + word[start:end]
                if piece in self.ids:
                    found.append(self.ids[piece])
                    start = end
                    break
            else:
                return [self.unknown]
        return found

    def __call__(self, text):
        body = [i for word in self.words(text) for i in self.pieces(word)]
        return [self.cls] + body[:self.maximum_tokens - 2] + [self.sep]

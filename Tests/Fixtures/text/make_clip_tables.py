"""Writes Sources/Text/CLIPUnicode+Data.swift: how CLIP's normalizer and pattern see every scalar.

As make_tables.py does for BERT, measured on the reference implementation, step by step as
transformers' CLIPTokenizer puts them together (`pip install tokenizers==0.23.3`). Run from the
repository root: python3 Tests/Fixtures/text/make_clip_tables.py
"""

import random
import textwrap
import unicodedata

from tokenizers import Regex
from tokenizers.normalizers import NFC, NFD, Lowercase, Replace

scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)
compose, decompose, lower = NFC().normalize_str, NFD().normalize_str, Lowercase().normalize_str


def matching(pattern):
    """The scalars that a class of the reference's regular expressions has."""
    gone = Replace(Regex(pattern), "").normalize_str
    return [c for c in scalars if gone(chr(c)) == ""]


def ranges(values):
    found = []
    for value in sorted(values):
        if found and found[-1][1] == value - 1:
            found[-1][1] = value
        else:
            found.append([value, value])
    return found


def spans(values):
    return [f"{low:X}" if low == high else f"{low:X}-{high:X}" for low, high in ranges(values)]


# What a scalar is put together from: two scalars that are joined again, or others for good.
pairs, replaced = {}, {}
for c in scalars:
    s = chr(c)
    d = decompose(s)
    if d == s or c in HANGUL:
        continue
    if compose(s) != s or len(d) == 1:
        replaced[c] = d
        continue
    first, last = compose(d[:-1]), d[-1]
    assert len(first) == 1 and decompose(last) == last and compose(first + last) == s, f"{c:X}"
    assert decompose(first) + last == d, f"{c:X}"
    pairs[c] = first + last
assert len(set(pairs.values())) == len(pairs)

# Canonical combining classes as the reference has them: a scalar of class 0 never moves.
low_mark, high_mark = chr(0x334), chr(0x345)  # classes 1 and 240
moving = {
    c: unicodedata.combining(chr(c))
    for c in scalars
    if decompose(chr(c)) == chr(c)
    and (
        decompose(high_mark + chr(c)) != high_mark + chr(c)
        or decompose(chr(c) + low_mark) != chr(c) + low_mark
        or c in (0x334, 0x345)
    )
}
movers, chosen = list(moving), random.Random(1)
for _ in range(20_000):  # the classes themselves, checked in pairs
    a, b = chosen.choice(movers), chosen.choice(movers)
    swaps = moving[a] > moving[b]
    assert (decompose("a" + chr(a) + chr(b)) == "a" + chr(b) + chr(a)) == (swaps or a == b)

lowered = {c: lower(chr(c)) for c in scalars if c >= 0x80 and lower(chr(c)) != chr(c)}


def mapping_words(mapped):
    """The words of `ScalarMapping`."""
    done, words, cursor = set(), [], None
    for c in sorted(mapped):
        if c in done:
            continue
        target = mapped[c]
        best = (1, 1, c)
        for step in (1, 2) if len(target) == 1 else ():
            end = c
            while (
                end + step not in done
                and len(mapped.get(end + step, "")) == 1
                and ord(mapped[end + step]) - ord(target) == end + step - c
            ):
                end += step
            best = max(best, ((end - c) // step + 1, step, end))
        count, step, end = best
        text = ",".join(f"{ord(x):X}" for x in target)
        if count < 3:
            words.append(text if cursor == c else f"{c:X}:{text}")
            done.add(c)
            cursor = c + 1
        else:
            words.append(f"{c:X}-{end:X}{'/2' if step == 2 else ''}:{text}")
            done.update(range(c, end + 1, step))
            cursor = None
    return words


def table(name, comment, words):
    lines = textwrap.wrap(" ".join(words), 96, break_on_hyphens=False)
    body = "\n".join(f"    {line}" for line in lines)
    return f'  /// {comment}\n  static let {name}: StaticString = """\n{body}\n    """\n'


by_class = {}
for c, k in moving.items():
    by_class.setdefault(k, []).append(c)
tables = [
    table("letters", r"What `\p{L}` matches.", spans(matching(r"\p{L}"))),
    table("numbers", r"What `\p{N}` matches.", spans(matching(r"\p{N}"))),
    table("spaces", r"What `\s` matches.", spans(matching(r"\s"))),
    table("lowercase", "Lower case, beyond ASCII; see `ScalarMapping`.", mapping_words(lowered)),
    table("pairs", "What is composed of two scalars.", mapping_words(pairs)),
    table("replaced", "What is decomposed and stays so.", mapping_words(replaced)),
    table("combiningClasses", "Canonical combining classes other than 0, as range:class (decimal).",
          [f"{span}:{k}" for k in sorted(by_class) for span in spans(by_class[k])]),
]
with open("Sources/Text/CLIPUnicode+Data.swift", "w") as file:
    file.write("// Written by Tests/Fixtures/text/make_clip_tables.py; not edited by hand.\n\n")
    file.write("extension CLIPUnicode {\n" + "\n".join(tables) + "}\n")
print({k: len(v) for k, v in dict(pairs=pairs, replaced=replaced, moving=moving,
                                 lowered=lowered).items()})

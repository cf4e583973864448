"""Writes Sources/Text/UnicodeTables+Data.swift: how BERT's normalizer sees every Unicode scalar.

The tables are measured, not transcribed: every scalar is put through the reference implementation
(`pip install tokenizers==0.23.3`), whose Unicode version is therefore the one that the models were
trained with. Run from the repository root: python3 Tests/Fixtures/text/make_tables.py
"""

import random
import textwrap
import unicodedata

from tokenizers.normalizers import NFD, BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer


def normalizer(**on):
    steps = dict(clean_text=False, handle_chinese_chars=False, strip_accents=False, lowercase=False)
    return BertNormalizer(**{**steps, **on}).normalize_str


clean, han = normalizer(clean_text=True), normalizer(handle_chinese_chars=True)
strip, lower = normalizer(strip_accents=True), normalizer(lowercase=True)
decompose, split = NFD().normalize_str, BertPreTokenizer().pre_tokenize_str
scalars = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]
HANGUL = range(0xAC00, 0xD7A4)


def ranges(values):
    found = []
    for value in sorted(values):
        if found and found[-1][1] == value - 1:
            found[-1][1] = value
        else:
            found.append([value, value])
    return found


def written(low, high):
    return f"{low:X}" if low == high else f"{low:X}-{high:X}"


removed, spaces, ideographs, punctuation = [], [], [], []
marks, decompositions, lowered = set(), {}, {}
for c in scalars:
    s = chr(c)
    cleaned, d, l = clean(s), decompose(s), lower(s)
    if cleaned == "":
        removed.append(c)
    elif cleaned == " ":
        spaces.append(c)
    if han(s) != s:
        ideographs.append(c)
    if d != s:
        decompositions[c] = d
    elif strip("a" + s) == "a":
        marks.add(c)
    if l != s:
        lowered[c] = l
    if [w for w, _ in split("a" + s + "b")] == ["a", s, "b"]:
        punctuation.append(c)

removed = set(removed)  # looked up a million times below

# Canonical combining classes as the reference has them: a scalar of class 0 never moves.
low_mark, high_mark = chr(0x334), chr(0x345)  # classes 1 and 240
moving = {
    c: unicodedata.combining(chr(c))
    for c in scalars
    if c not in decompositions
    and (
        decompose(high_mark + chr(c)) != high_mark + chr(c)
        or decompose(chr(c) + low_mark) != chr(c) + low_mark
        or c in (0x334, 0x345)
    )
}
gone, movers = set(removed), list(moving)
chosen = random.Random(1)
for _ in range(20_000):  # the classes themselves, checked in pairs
    a, b = chosen.choice(movers), chosen.choice(movers)
    swaps = moving[a] > moving[b]
    assert (decompose("a" + chr(a) + chr(b)) == "a" + chr(b) + chr(a)) == (swaps or a == b)

# A mark that is dropped still keeps apart what stands around it if its class is 0.
kept_moving = {}
for c, k in moving.items():
    if c not in marks and c not in gone:
        kept_moving.setdefault(k, []).append(c)
fixed_marks = [c for c in marks if c not in moving]

mapped = {}
for c in scalars:
    if c in HANGUL or c in gone or c in marks:
        continue
    d = decompositions.get(c, chr(c))
    t = "".join(lowered.get(ord(x), x) for x in d if ord(x) not in marks)
    if t != chr(c):
        mapped[c] = t
    if d and t == "":  # all marks: dropped like a mark
        del mapped[c]
        marks.add(c)
        if any(ord(x) not in moving for x in d):
            fixed_marks.append(c)


def mapping_words():
    """`A-B:T` maps A...B to T..., `A-B/2:T` every second one, `A:T U V` A to T, A+1 to U, ...,
    `A:T,U` A to T then U."""
    done, words, cursor = set(), [], None
    for c in sorted(mapped):
        if c in done:
            continue
        target = mapped[c]
        best = (1, 1, c)
        if len(target) == 1:
            for step in (1, 2):
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


def spans(values):
    return [written(*r) for r in ranges(values)]


tables = [
    table("removed", "Dropped before anything else.", spans(removed)),
    table("spaces", "Become a space.", spans(spaces)),
    table("ideographs", "Stand alone as words.", spans(ideographs)),
    table("punctuation", "Stand alone as words, after mapping.", spans(punctuation)),
    table("marks", "Dropped as accents.", spans(marks)),
    table("fixedMarks", "Accents of combining class 0, which no mark is sorted across.",
          spans(fixed_marks)),
    table("movingMarks", "Marks that are kept and sorted, as range:class (decimal).",
          [f"{written(*r)}:{k}" for k in sorted(kept_moving) for r in ranges(kept_moving[k])]),
    table("mapping", "Decomposed without accents and lower-cased; see `ScalarMapping`.",
          mapping_words()),
]
with open("Sources/Text/UnicodeTables+Data.swift", "w") as file:
    file.write("// Written by Tests/Fixtures/text/make_tables.py; not edited by hand.\n\n")
    file.write("extension UnicodeTables {\n" + "\n".join(tables) + "}\n")

"""Writes wordpiece.json: strings and their token identifiers by the reference tokenizer.

`pip install tokenizers==0.23.3`, then, from the repository root:
python3 Tests/Fixtures/text/make_goldens.py
"""

import json
import random

from tokenizers import BertWordPieceTokenizer

tokenizer = BertWordPieceTokenizer("models/sticker/vocab.txt", lowercase=True)
cased = BertWordPieceTokenizer("models/sticker/vocab.txt", lowercase=False)
FIXED = [
    "", " ", "a red apple", "3d sticker of a woman pilot: dark skin tone", "Dog face",
    "  leading,  and trailing\t\n ", "don't stop-believing...", "Café Crème brûlée à la carte",
    "naïve coöperation, ÀÉÎÕÜ", "İstanbul ıĞ Straße ẞ ŒUVRE", "ΑΣ ΟΔΥΣΣΕΥΣ ς", "Ёлка й Йод",
    "東京タワー", "中文and English混合", "豈更車\U0002f800", "한국어 텍스트", "각 한",
    "ไทย ภาษา", "हिन्दी में", "العَرَبِيَّة", "עִבְרִית", "👩🏽‍🚀 woman astronaut", "👨‍👩‍👧‍👦", "🏳️‍🌈🇩🇪",
    "a\u200db\u200cc\u200bd", "a\u0000b\u0001c\ufffdd\u007f", "\u2028line\u2029paragraph\u0085x",
    "soft\u00adhyphen\ufeffbom", "e\u0301e\u0323\u0301", "a\u0315\u0300\u05ae\u0062", "\u0301\u0302",
    "x" * 100, "x" * 101, "ab" * 50 + "!", "é" * 100, "é" * 101, "a" * 5000, "word " * 300,
    "[CLS] not special [SEP]".replace("[", "(").replace("]", ")"), "##ing ing ##", "#hash @at $5.00 50%",
    "\u037e \u1fef \u2260 \u226f", "ﬁligree ﬂ Ⅷ ① ㎏", "𝒜𝓁𝓅𝒽𝒶 𝟘𝟙", "\u1d160\U0001d160\U0001d165",
    "\u302e\u1b44a\u0334\u302f", "\U0001d165\U0001d16d\U0001d15e", "unaffable", "Zażółć gęślą jaźń",
    "Tiếng Việt rất đẹp", "1,234.56 m²", "“quotes” – dash — em … ellipsis", "‽⁂※", "a\u3000b\u00a0c\u1680d",
    "ʻokina ʼ", "Ǆ ǅ ǆ", "ꙮ ꭰ Ꭰ", "\ue000private", "\U000e0041tag", "\U0010ffff", "\u0378unassigned",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
]
POOLS = [
    [chr(c) for c in range(0x20, 0x7F)],
    [chr(c) for c in range(0x00, 0x250)],
    [chr(c) for c in range(0x300, 0x370)] + list("aeiou "),
    [chr(c) for c in range(0x370, 0x600)],
    [chr(c) for c in range(0x900, 0x1000)],
    [chr(c) for c in range(0x1B00, 0x2100)],
    [chr(c) for c in range(0x3000, 0x3100)] + [chr(c) for c in range(0xAC00, 0xAD00)],
    [chr(c) for c in range(0x1F300, 0x1F700)] + ["\u200d", "\ufe0f"],
    [chr(c) for c in [0x302E, 0x302F, 0x1B44, 0xA953, 0x8D4, 0x345, 0x334, 0x900, 0xC48, 0xF73,
                      0x1D165, 0x1D16D, 0x11446, 0x1E94A, 0xD4D, 0x93C, 0x61]],
    [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000],
]
WORDS = [t for t in open("models/sticker/vocab.txt").read().split("\n") if t and t[0] not in "[#"]
chosen = random.Random(7)
texts = list(FIXED)
for pool in POOLS:
    texts += ["".join(chosen.choices(pool, k=chosen.randint(1, 30))) for _ in range(30)]
for _ in range(60):
    glue = chosen.choice(["", " ", "-", "\u0301"])
    texts.append(glue.join(chosen.choices(WORDS, k=chosen.randint(1, 12))))
for script in (WORDS[1996:3000], WORDS):
    texts += ["".join(chosen.choices(script, k=4)) for _ in range(30)]


def row(text):
    # The added special tokens of the reference are not text to it, and are to us.
    assert not any(s in text for s in ("[CLS]", "[SEP]", "[UNK]", "[PAD]", "[MASK]"))
    return {"text": text, "ids": tokenizer.encode(text).ids, "casedIds": cased.encode(text).ids}


# How each scalar splits and maps, over all of Unicode: FNV-1a of the identifiers, 4096 at a time.
def digest(block):
    value = 0xCBF29CE484222325
    for c in range(block * 4096, block * 4096 + 4096):
        if 0xD800 <= c < 0xE000:
            continue
        for i in tokenizer.encode(f"a{chr(c)}b", add_special_tokens=False).ids:
            value = ((value ^ i) * 0x100000001B3) % 2**64
    return f"{value:016x}"


rows = [row(t) for t in texts]
blocks = [digest(b) for b in range(0x110)]
with open("Tests/Fixtures/text/wordpiece.json", "w") as file:
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
    file.write('{"blocks":' + json.dumps(blocks, separators=(",", ":")) + ',\n"texts":[\n')
    file.write(lines + "\n]}\n")

"""CLIP's table of merges, and what transformers' tokenizer makes of texts with it.

    pip install transformers==5.24.0 tokenizers==0.23.3
    python -m banana_training.clip_goldens table --source bpe_simple_vocab_16e6.txt.gz \
        --out ../tokenizers/clip/merges.txt
    python -m banana_training.clip_goldens goldens --merges ../tokenizers/clip/merges.txt \
        --out ../Tests/Fixtures/goldens/clip/goldens.json

The source is OpenAI's (https://github.com/openai/CLIP, MIT licence); the table is, byte for byte,
the merges.txt of the checkpoints that use it.
"""

import argparse
import gzip
import hashlib
import json
import random
from pathlib import Path

BEGIN, END = "<|startoftext|>", "<|endoftext|>"
MERGES = 49152 - 256 - 2
MERGES_SHA256 = "9fd691f7c8039210e0fced15865466c65820d09b63988b0174bfe25de299051a"
FIXED = [
    "", " ", "a", "a photo of a cat", "A Photo Of An ASTRONAUT riding a horse on mars, 8K, HDR!!",
    "  leading,  and trailing\t\n ", "masterpiece, best quality, (1girl:1.2), [blurry], <lora:x:1>",
    "don't can't we're I've I'm he'll she'd it's 'tis rock'n'roll O'Brien 'r 'v 'l 're 'lx 'rx 'vx",
    "DON'T WE'RE I'LL", "''s '''ll !'s \u2019s \u2019re it\u2019s 's's 'm'", "'", "''", "a'", "'r",
    "'\u017f 'K \u212a's", "1234567890 3.14 1,000 2nd 50% \u00bd \u2167 \u0664\u0662 \uff11\uff12",
    "abc123def", "snake_case camelCase kebab-case", "C:\\path\\to", "https://example.org/?q=a&b=c#d",
    "... !!! ??? ,,, --- *** ~~~ ((())) [[]] {{}}", "<|><| |> <|start <|endoftext |",
    "Caf\u00e9 Cr\u00e8me br\u00fbl\u00e9e", "cafe\u0301", "na\u00efve co\u00f6peration \u00c0\u00c9",
    "\u0130stanbul \u0131\u011e Stra\u00dfe \u1e9e \u0152UVRE", "\u0391\u03a3 \u039f\u0394\u03a5\u03a3\u03a3\u0395\u03a5\u03a3 \u03c2",
    "\u0401\u043b\u043a\u0430 \u0439 \u0418\u0306", "\u6771\u4eac\u30bf\u30ef\u30fc", "\u4e2d\u6587and English\u6df7\u5408",
    "\u8c48\u66f4\u8eca\U0002f800 \uf900", "\ud55c\uad6d\uc5b4 \u1112\u1161\u11ab\u1100\u1161 \uac00\u11a8",
    "\u0e44\u0e17\u0e22 \u0e20\u0e32\u0e29\u0e32", "\u0939\u093f\u0928\u094d\u0926\u0940 \u0958 \u0928\u093c",
    "\u0627\u0644\u0639\u064e\u0631\u064e\u0628\u0650\u064a\u0651\u064e\u0629", "\u05e2\u05b4\u05d1\u05b0\u05e8\u05b4\u05d9\u05ea \ufb2c",
    "\U0001f469\U0001f3fd\u200d\U0001f680 woman astronaut", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466",
    "\U0001f3f3\ufe0f\u200d\U0001f308\U0001f1e9\U0001f1ea", "\u2764\ufe0f \u2764 1\ufe0f\u20e3", "\U0001f602" * 9,
    "a\u200db\u200cc\u200bd", "a\u0000b\u0001c\ufffdd\u007f\u001b[31m", "a\u001cb\u001db\u001eb\u001fb",
    "\u2028line\u2029paragraph\u0085x", "soft\u00adhyphen\ufeffbom", "a\u3000b\u00a0c\u1680d\u180ee",
    "e\u0301e\u0323\u0301", "e\u0301\u0323", "a\u0315\u0300\u05ae\u0062", "\u0301\u0302", "\u0301 \u0302a",
    "\u00e9\u0323", "\u1ea5\u0323", "q\u0307\u0323", "\u0041\u030a \u212b \u2126", "\u0958 \u2adc \u0f43",
    "\u09c7\u09be \u0b47\u0b56 \u0dd9\u0dcf\u0dca \u3046\u3099 \u30ab\u3099", "\u0344 \u0340 \u0343",
    "\U0001d15e \U0001d1bb \U00011099\U000110ba", "\ufb01ligree \ufb02 \u2460 \u338f \U0001d49c\U0001d7d8",
    "x" * 100, "ab" * 50 + "!", "\u00e9" * 100, "a" * 5000, "ha" * 2000, "z\u0301\u0323" * 300, "!?" * 500,
    "word " * 300, "word," * 100, "supercalifragilisticexpialidocious antidisestablishmentarianism",
    "Za\u017c\u00f3\u0142\u0107 g\u0119\u015bl\u0105 ja\u017a\u0144", "Ti\u1ebfng Vi\u1ec7t r\u1ea5t \u0111\u1eb9p",
    "\u201cquotes\u201d \u2013 dash \u2014 em \u2026 ellipsis", "\u02bbokina \u02bc \u01c4 \u01c5 \u01c6 \ua66e \uab70 \u13a0",
    "\ue000private \U000e0041tag \U0010ffff \u0378", "caf\u00c3\u00a9 &amp; &lt;b&gt; mis-encoded",
]
# Of 4096 scalars each: what Unicode uses, and some of what it does not.
BLOCKS = [*range(0x34), 0xE0, 0xF0, 0x10F]
FORGED = [
    END, BEGIN, f"a {END} b", f"cat{END}dog", f"{BEGIN}cat{END}", f"{END}{END}", "<|ENDOFTEXT|>",
    f"  {BEGIN}  x", f"'{END}'s",
]
POOLS = [
    [chr(c) for c in range(0x20, 0x7F)],
    list("aeiourstvmdlRE'' 1,."),
    [chr(c) for c in range(0x00, 0x250)],
    [chr(c) for c in range(0x300, 0x370)] + list("aeiouAEKWqz "),
    [chr(c) for c in range(0x370, 0x600)],
    [chr(c) for c in range(0x900, 0x1000)],
    [chr(c) for c in range(0x1B00, 0x2100)],
    [chr(c) for c in range(0x1100, 0x1200)] + [chr(0xAC00 + 28 * i) for i in range(40)],
    [chr(c) for c in range(0x3000, 0x3100)] + [chr(c) for c in range(0xAC00, 0xAD00)],
    [chr(c) for c in range(0x1F300, 0x1F700)] + ["\u200d", "\ufe0f"],
    [chr(c) for c in [0x302E, 0x302F, 0x1B44, 0xA953, 0x8D4, 0x345, 0x334, 0x900, 0xC48, 0xF73,
                      0x1D165, 0x1D16D, 0x11446, 0x1E94A, 0xD4D, 0x93C, 0x308, 0x301, 0x61, 0x3B9]],
    [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000],
]


def visible_bytes():
    """The characters that stand for the 256 bytes, in the order of their identifiers."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [b for b in range(256) if b not in seen]
    return [chr(b) for b in seen] + [chr(256 + i) for i in range(len(hidden))]


def vocabulary(merges):
    letters = visible_bytes()
    tokens = letters + [c + "</w>" for c in letters] + ["".join(m) for m in merges] + [BEGIN, END]
    assert len(set(tokens)) == len(tokens)
    return {token: number for number, token in enumerate(tokens)}


def write_table(source, out):
    lines = gzip.open(source).read().decode().split("\n")[1:MERGES + 1]
    table = "\n".join(["#version: 0.2", *lines]) + "\n"
    assert hashlib.sha256(table.encode()).hexdigest() == MERGES_SHA256
    Path(out).write_text(table)


def texts(merges):
    chosen = random.Random(13)
    found = list(FIXED)
    for pool in POOLS:
        found += ["".join(chosen.choices(pool, k=chosen.randint(1, 30))) for _ in range(25)]
    words = ["".join(m) for m in merges]
    words = [w[:-4] for w in words if w.endswith("</w>") and w[:-4].isascii()]
    for _ in range(60):
        glue = chosen.choice(["", " ", "-", ", ", "'", "\u0301"])
        found.append(glue.join(chosen.choices(words, k=chosen.randint(1, 12))))
    return found


def write_goldens(merges, out):
    from transformers import CLIPTokenizer

    merges = [tuple(line.split(" ")) for line in Path(merges).read_text().split("\n")[1:-1]]
    assert len(merges) == MERGES
    tokenizer = CLIPTokenizer(vocab=vocabulary(merges), merges=merges)
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id) == (49406, 49407)

    def ids(text):
        found = tokenizer(text).input_ids
        assert found[0] == 49406 and found[-1] == 49407
        return found[1:-1]

    # Every scalar between letters, and behind a mark: FNV-1a of the tokens, 4096 scalars at a time.
    def digest(block):
        value = 0xCBF29CE484222325
        scalars = [chr(c) for c in range(block * 4096, block * 4096 + 4096)
                   if not 0xD800 <= c < 0xE000]
        texts = [t for c in scalars for t in (f"a{c}b", f"o\u0301{c}1")]
        for row in tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False):
            for i in row.ids:
                value = ((value ^ i) * 0x100000001B3) % 2**64
        return f"{value:016x}"

    def rows(texts):
        return ",\n".join(json.dumps({"text": t, "ids": ids(t)}, separators=(",", ":"))
                          for t in texts)

    blocks = json.dumps({str(b): digest(b) for b in BLOCKS}, separators=(",", ":"))
    path = Path(out)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('{"blocks":' + blocks + ',\n"texts":[\n' + rows(texts(merges))
                    + '\n],\n"forged":[\n' + rows(FORGED) + "\n]}\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    table = commands.add_parser("table")
    table.add_argument("--source", required=True)
    goldens = commands.add_parser("goldens")
    goldens.add_argument("--merges", required=True)
    for command in (table, goldens):
        command.add_argument("--out", required=True)
    options = parser.parse_args()
    if options.command == "table":
        write_table(options.source, options.out)
    else:
        write_goldens(options.merges, options.out)


if __name__ == "__main__":
    main()

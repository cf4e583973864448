"""Writes Sources/Text/EmojiNames+Data.swift: what emoji are called in English.

The names are those of Unicode CLDR 41 as Debian's package unicode-cldr-core has them (licence
Unicode-DFS-2016), which the training pictures are called by too:

    python3 Tests/Fixtures/text/make_emoji.py /usr/share/unicode/cldr/common

Skin tones are left out where the name without them and the tones' own names tell it all.
"""

import re
import sys

TONES = {chr(c) for c in range(0x1F3FB, 0x1F400)}
SELECTOR = "\ufe0f"


def annotations(folder):
    """All names by their characters, without the selector of emoji presentation."""
    names = {}
    for part in ("annotations", "annotationsDerived"):
        text = open(f"{folder}/{part}/en.xml", encoding="utf-8").read()
        for characters, name in re.findall(r'<annotation cp="([^"]+)" type="tts">([^<]*)<', text):
            names[characters.replace(SELECTOR, "")] = name.replace("&amp;", "&")
    return names


def emoji_order(folder):
    """The characters that CLDR orders as emoji."""
    text = open(f"{folder}/collation/root.xml", encoding="utf-8").read()
    rules = text[text.index("<collation type='emoji'>"):]
    rules = rules[:rules.index("</collation>")]
    lines = [line for line in rules.splitlines() if line.startswith("<") and "CDATA" not in line]
    return {c for line in lines for c in line if ord(c) > 0x7F}


def toned(characters, names):
    """The name that the rule gives to characters with skin tones; None where it gives none."""
    tones = [c for c in characters if c in TONES]
    bare = "".join(c for c in characters if c not in TONES)
    if not tones or bare not in names:
        return None
    return names[bare] + (", " if ":" in names[bare] else ": ") + ", ".join(names[t] for t in tones)


folder = sys.argv[1]
order = emoji_order(folder)
names = {c: name for c, name in annotations(folder).items()
         if any(ord(x) >= 0x1F000 for x in c) or "\u20e3" in c or all(x in order for x in c)}
lines = [f"{c} {name}" for c, name in sorted(names.items()) if toned(c, names) != name]
assert all("\\" not in line for line in lines)
with open("Sources/Text/EmojiNames+Data.swift", "w", encoding="utf-8") as file:
    file.write("// Written by Tests/Fixtures/text/make_emoji.py; not edited by hand. Names: Unicode "
               "CLDR 41,\n// copyright 1991-2022 Unicode, Inc., licence Unicode-DFS-2016.\n\n")
    file.write("extension EmojiNames {\n  /// Emoji, without selectors, and their names.\n")
    file.write('  static let table: StaticString = """\n')
    file.write("".join(f"    {line}\n" for line in lines))
    file.write('    """\n}\n')
print(len(names), "names,", len(lines), "lines")

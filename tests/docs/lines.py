#!/usr/bin/env python3
"""lines.py: the program can say each line that docs/troubleshooting.md
explains. A heading there is a line in backquotes, and `...` stands for whatever
it has in that place; the rest of it, piece by piece, is in one string of src."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
LITERAL = r'"(?:[^"\\\n]|\\.)*"'


def strings():
    """Strings as the compiler joins them; what a format has in place of its
    conversions is one character that no line has."""
    for path in (ROOT / "src").rglob("*.c"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        text = re.sub(r"\bPRI[a-z]\w+", '"u"', text)
        for found in re.findall(rf"{LITERAL}(?:\s*{LITERAL})*", text):
            parts = [part[1:-1] for part in re.findall(LITERAL, found)]
            joined = "".join(parts).replace('\\"', '"')
            yield re.sub(r"%[-+ #0-9.*]*(?:[hlzj]*[a-zA-Z])?", "\0", joined)


def main():
    known = list(strings())
    page = (ROOT / "docs/troubleshooting.md").read_text()
    heads = re.findall(r"^### (.*)$", page, re.M)
    wrong = []
    for head in heads:
        line = re.fullmatch(r"`(.*)`", head)
        if not line:
            wrong.append(f"is no line: {head}")
            continue
        # The edges of "..." may be in an argument: what is fixed is long.
        pieces = [p.strip(" ,;:()") for p in line[1].split("...")]
        pieces = [p for p in pieces if len(p) > 2]
        pattern = ".*".join(re.escape(p) for p in pieces)
        if not pieces or not any(re.search(pattern, s, re.S) for s in known):
            wrong.append(f"nothing says: {line[1]}")
    print("\n".join(wrong) or f"{len(heads)} lines are explained")
    sys.exit(1 if wrong or len(heads) < 30 else 0)


main()

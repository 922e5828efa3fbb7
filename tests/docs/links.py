#!/usr/bin/env python3
"""links.py: links of pages to files of this tree, and to headings in them,
lead somewhere; and README.md leads to every page of docs."""

import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def prose(path):
    """Without what is set as code."""
    return re.sub(r"^```.*?^```$|`[^`\n]*`", "", path.read_text(),
                  flags=re.M | re.S)


def anchors(path):
    """What GitHub calls the headings of a page."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-")
            for head in heads}


def main():
    wrong = []
    pages = [p for p in ROOT.rglob("*.md")
             if "build" not in p.relative_to(ROOT).parts]
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
            if re.match(r"[a-z]+:", link):
                continue
            name, _, anchor = link.partition("#")
            target = (page.parent / name).resolve() if name else page
            if not target.exists() or \
                    (anchor and anchor not in anchors(target)):
                wrong.append(f"{page.relative_to(ROOT)}: {link}")
    linked = set(re.findall(r"\]\(docs/([^)#]+)", (ROOT / "README.md")
                            .read_text()))
    for page in (ROOT / "docs").glob("*.md"):
        if page.name not in linked:
            wrong.append(f"README.md does not lead to docs/{page.name}")
    print("\n".join(wrong) or f"the links of {len(pages)} pages are good")
    sys.exit(1 if wrong else 0)


main()

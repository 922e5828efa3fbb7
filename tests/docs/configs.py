#!/usr/bin/env python3
"""configs.py VUB: every whole config on a page (a block of JSON that has
"devices") is one that the program takes."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    vub = sys.argv[1]
    count = 0
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        for text in re.findall(r"^```json\n(.*?)^```$", page.read_text(),
                               re.M | re.S):
            if not text.startswith("{\n"):
                continue  # a part of one
            config = json.loads(text)
            if "devices" not in config:
                continue
            with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
                f.write(text)
                f.flush()
                done = subprocess.run([vub, "--check", "--config", f.name],
                                      text=True, capture_output=True)
            if done.returncode != 0:
                sys.exit(f"{page.name}: {done.stderr}")
            count += 1
    print(f"{count} configs are good")
    sys.exit(0 if count >= 4 else 1)


main()

#!/usr/bin/env python3
"""examples.py VUB: every config/*.json and config/rigs/*/devices.json is good by
the schema and by --check; and with any one key of it renamed, both say which.
The defaults that the schema tells are good by the schema too."""

import copy
import glob
import json
import os
import subprocess
import sys
import tempfile

import schema as schemas


def objects(node, at=""):
    """Every object in a document, with its pointer."""
    if isinstance(node, dict):
        yield at, node
    members = node.items() if isinstance(node, dict) else \
        enumerate(node) if isinstance(node, list) else []
    for name, value in members:
        yield from objects(value, f"{at}/{name}")


def check(vub, path):
    return subprocess.run([vub, "--check", "--config", path], text=True,
                          capture_output=True)


def check_spoiled(vub, s, document, name):
    """All keys renamed at once: each object tells of each."""
    spoiled = copy.deepcopy(document)
    places = []
    for at, node in objects(spoiled):
        if "type" not in node:
            continue  # what the renamed key held would not be looked at
        extra = "renamed key"
        node[extra] = 1
        places.append(f"{at}/{extra}")
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(spoiled, f)
        f.flush()
        said = check(vub, f.name).stderr
    by_schema = [at for at, _ in s.errors(spoiled)]
    for place in places:
        assert f": {place}: there is no such key" in said, (name, place, said)
        assert place in by_schema, (name, place, by_schema)


def check_defaults(s):
    count = 0
    for at, node in objects(s.root):
        if "default" in node and at.rsplit("/", 2)[-2] == "properties":
            count += 1
            assert not s.errors(node["default"], node), (at, node)
    assert count > 5


def main():
    vub = sys.argv[1]
    s = schemas.Schema(schemas.load_file("vub.schema.json"))
    check_defaults(s)
    paths = sorted(set(glob.glob(os.path.join(schemas.CONFIG, "*.json"))) -
                   set(glob.glob(os.path.join(schemas.CONFIG, "*.schema.json"))))
    assert len(paths) >= 4
    rigs = sorted(glob.glob(os.path.join(schemas.CONFIG, "rigs", "*",
                                         "devices.json")))
    assert len(rigs) >= 2
    for path in paths + rigs:
        name = os.path.relpath(path, schemas.CONFIG)
        document = schemas.load_file(name)
        assert document["$schema"] == os.path.relpath(
            os.path.join(schemas.CONFIG, "vub.schema.json"),
            os.path.dirname(path)), name
        assert not s.errors(document), (name, s.errors(document))
        done = check(vub, path)
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"{path}: no errors\n", done.stdout
        check_spoiled(vub, s, document, name)
        print(f"{name}: good")


main()

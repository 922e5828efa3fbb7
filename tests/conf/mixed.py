#!/usr/bin/env python3
"""mixed.py VUB [SEED]: whole configs, made of the schema by chance.

agreement.py looks at one key after the other. Here many are in one document,
stores in stores and all: of a document that the schema accepts the program says
nothing, but for rules between keys; and when one thing in it is then spoiled,
both say so, of that place. The documents are the same each time, unless a SEED
is given."""

import copy
import os
import random
import string
import sys

import agreement
import schema as schemas

DOCUMENTS = 150
DEEP = 6


# Last parts of places where keys have rules together, beside those that
# agreement.py knows. A new rule of this kind is named here.
TOGETHER = {"dmabuf", "lun", "stuck", "target"}


def rule_between_keys(at):
    parts = at.split("/")
    return agreement.allowed_rule(at) or parts[-1] in TOGETHER or \
        "hotkey" in parts


def grow(s, schema, by, depth=0):
    """A value that the schema accepts, with much in it."""
    schema = s.resolve(schema)
    for several in ("oneOf", "anyOf"):
        if several in schema:
            if depth > DEEP:
                return s.smallest(schema)
            return grow(s, by.choice(schema[several]), by, depth + 1)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return by.choice(schema["enum"])
    kind = schema.get("type")
    if kind is None:
        return "anything"
    if kind == "object":
        wanted = schema.get("required", [])
        return {name: grow(s, key, by, depth + 1)
                for name, key in schema["properties"].items()
                if name in wanted or by.random() < 0.5}
    if kind == "array":
        low = schema.get("minItems", 0)
        count = by.randint(low, min(low + 2, schema.get("maxItems", low + 2)))
        return [grow(s, schema["items"], by, depth + 1) for _ in range(count)]
    if kind == "integer":
        low, high = schema["minimum"], schema["maximum"]
        return by.choice([low, high, by.randint(low, high),
                          min(high, max(low, 1))])
    if kind == "boolean":
        return by.random() < 0.5
    if "K" in schema.get("pattern", ""):
        return by.choice(["64M", "1G", "65536"])
    if "0x" in schema.get("pattern", ""):
        return f"0x{by.randint(0, 0xffff):x}"
    if "pattern" in schema:
        return by.choice(["0660", "600"])
    low = schema.get("minLength", 0)
    count = by.randint(low, min(low + 8, schema.get("maxLength", low + 8)))
    return "".join(by.choices(string.ascii_letters, k=count))


def places(node, at=""):
    """(object or list, key, pointer of what is there), of everything."""
    members = node.items() if isinstance(node, dict) else \
        enumerate(node) if isinstance(node, list) else []
    for key, value in list(members):
        yield node, key, f"{at}/{key}"
        yield from places(value, f"{at}/{key}")


def spoil(document, by):
    """Spoils one thing; the pointer of it. Maybe it is good afterwards, too:
    that is the schema's to say."""
    node, key, at = by.choice(list(places(document)))
    how = by.randrange(4)
    if how == 0 and isinstance(node, dict):
        del node[key]
    elif how == 1 and isinstance(node[key], dict):
        node[key]["no_such_key"] = 1
        at += "/no_such_key"
    elif how == 2 and isinstance(node[key], int) and \
            not isinstance(node[key], bool):
        node[key] = by.choice([-1, 2 ** 40, node[key] + 0.5])
    else:
        node[key] = by.choice([v for v in agreement.JSON_TYPES
                               if type(v) is not type(node[key])])
    return at


def document_of(s, by):
    document = grow(s, s.root, by)
    for n, device in enumerate(document["devices"]):
        device["id"] = f"d{n}"
        device.pop("socket", None)
        device.pop("worker", None)  # who shares one is a rule of its own
    return document


def main():
    vub = sys.argv[1]
    by = random.Random(int(sys.argv[2]) if sys.argv[2:] else 6)
    s = schemas.Schema(schemas.load_file("vub.schema.json"))
    os.environ["XDG_RUNTIME_DIR"] = "/nonexistent"
    complaints, spoiled = [], 0
    for _ in range(DOCUMENTS):
        document = document_of(s, by)
        assert not s.errors(document), (s.errors(document), document)
        told = agreement.run(vub, document)
        complaints += [f"the schema accepts it, vub does not: {at}: {document}"
                       for at in told if not rule_between_keys(at)]
        for _ in range(3):
            bad = copy.deepcopy(document)
            at = spoil(bad, by)
            spoiled += bool(s.errors(bad))
            told = agreement.run(vub, bad)
            if s.errors(bad) or not rule_between_keys(at):
                complaints.append(agreement.judge(s, bad, told, at))
    complaints = [c for c in complaints if c]
    print(f"{DOCUMENTS} good documents, {spoiled} bad ones, "
          f"{len(complaints)} disagreements")
    for complaint in complaints[:20]:
        print(complaint)
    sys.exit(1 if complaints or spoiled < DOCUMENTS else 0)


main()

#!/usr/bin/env python3
"""agreement.py VUB: the schema and the program say the same of every key.

For each key of each object in config/vub.schema.json, values are made: of each
JSON type, both ends of its range and just beyond, every word and a word that
is none; and the object without the key, and with an unknown one. Each makes
one document, of which the schema says "good" or "bad". The program must say
the same, and name the key. Rules between keys (a size in whole sectors) are
not the schema's: an error that no key of the schema explains counts for the
program only where the schema accepts."""

import json
import os
import subprocess
import sys
import tempfile

import schema as schemas

JSON_TYPES = [None, True, 0, -1, 1.5, "", "?", [], {}, [None], {"?": 1}]


def values(schema):
    """Interesting values for a key."""
    made = list(JSON_TYPES)
    for one in schema.get("anyOf", [schema]):
        if "minimum" in one:
            low, high = one["minimum"], one["maximum"]
            made += [low, low - 1, high, high + 1, float(low), 2 ** 53]
        made += one.get("enum", [])
        if "pattern" in one:
            made += ["0", "1K", "64M", "2G", "1T", "1P", "64m", "1.5G", "+1",
                     " 1", "1 ", "0600", "777", "0777", "1777", "888", "06000",
                     "0x0", "0xFf", "0xffff", "0x10000", "0x", "0xg", "0X1"]
        if one.get("type") == "string" and "pattern" not in one:
            limit = one.get("maxLength", 20)
            made += ["x" * limit, "x" * (limit + 1), "\u00e4"]
    return made


def variants(schema, s):
    """Values that schema speaks of, as (pointer of what changed, value)."""
    schema = s.resolve(schema)
    for several in ("oneOf", "anyOf"):
        for one in schema.get(several, []):
            if s.resolve(one).get("type") == "object":
                yield from variants(one, s)
    if schema.get("type") == "array":
        for at, value in variants(schema["items"], s):
            yield "/0" + at, [value]
        yield "", []
        return
    if schema.get("type") != "object" or "properties" not in schema:
        return
    base = s.smallest(schema)
    yield "", base
    yield "/no_such_key", dict(base, no_such_key=1)
    for name, key in schema["properties"].items():
        if name in base:
            yield f"/{name}", {k: v for k, v in base.items() if k != name}
        if "const" in key:
            for value in JSON_TYPES + ["no such type"]:
                yield f"/{name}", dict(base, type=value)
            continue
        for value in values(s.resolve(key)):
            yield f"/{name}", dict(base, **{name: value})
        if id(s.resolve(key)) in variants.open:
            continue  # a store in a store in a store
        variants.open.add(id(s.resolve(key)))
        for at, value in variants(key, s):
            yield f"/{name}{at}", dict(base, **{name: value})
        variants.open.remove(id(s.resolve(key)))


variants.open = set()


def run(vub, document):
    """The pointers of the errors that vub tells of a document."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as f:
        json.dump(document, f)
        f.flush()
        done = subprocess.run([vub, "--check", "--config", f.name], text=True,
                              capture_output=True)
        if done.returncode not in (0, 2) or \
                (done.returncode == 0) != (done.stderr == ""):
            sys.exit(f"{json.dumps(document)}: status {done.returncode}, "
                     f"{done.stderr}")
        prefix = f.name + ": "
        told = []
        for line in done.stderr.splitlines():
            assert line.startswith(prefix), line
            told.append(line[len(prefix):].split(": ")[0])
        return told


def judge(s, document, told, what):
    """Complains if schema and program disagree about a document."""
    expected = s.errors(document)
    places = [at for at, _ in expected]
    near = [t for t in told
            if any(t.startswith(p) or p.startswith(t) for p in places)]
    if expected and not near:
        return f"{what}: the schema says {expected}, vub says {told}"
    if not expected and any((t == what or t.startswith(what + "/")) and
                            not allowed_rule(t) for t in told) and \
            not allowed_rule(what):
        return f"{what}: the schema accepts it, vub says {told}: " + \
            json.dumps(document)
    return None


def allowed_rule(at):
    """Places where the program has rules that a schema cannot say."""
    parts = at.split("/")
    if "describe" in parts or "filter" in parts:
        return True  # names of events and axes
    if "luns" in parts and (parts[-2] == "luns" or parts[-1] in ("read_only",
                                                              "sg")):
        return True  # which of its keys go together
    if "rules" in parts and parts[-1] == "outcome":
        return True  # a power cut, of a filter that there is
    if parts[-1].endswith("_burst"):
        return True  # of a limit that there is
    if parts[-1] == "outcome":
        return True  # a power cut needs a powercut
    return parts[-1] in ("size", "max_memory", "max_size", "cache", "buffer",
                         "block_size", "sector", "second", "id", "serial",
                         "logical_block_size", "physical_block_size", "socket",
                         "path", "poll_us", "worker", "fd", "match", "hotkey",
                         "source")


def main():
    vub = sys.argv[1]
    s = schemas.Schema(schemas.load_file("vub.schema.json"))
    os.environ["XDG_RUNTIME_DIR"] = "/nonexistent"
    complaints, count = [], 0
    # Devices go into one document as long as only theirs are at stake.
    batch = []

    def flush():
        if not batch:
            return
        told = run(vub, {"devices": [d for _, d in batch]})
        for n, (at, device) in enumerate(batch):
            mine = [t.replace(f"/devices/{n}", "/devices/0", 1) for t in told
                    if (t + "/").startswith(f"/devices/{n}/")]
            complaints.append(judge(s, {"devices": [device]}, mine, at))
        batch.clear()

    for at, document in variants(s.root, s):
        count += 1
        if at.startswith("/devices/0") and \
                isinstance(document["devices"][0], dict):
            device = document["devices"][0]
            if not at.startswith("/devices/0/id") and \
                    device.get("id") is not None:
                device = dict(device, id=f"d{count}")
            batch.append((at, device))
            if len(batch) == 40:
                flush()
        else:
            complaints.append(judge(s, document, run(vub, document), at))
    flush()
    complaints = [c for c in complaints if c]
    print(f"{count} documents, {len(complaints)} disagreements")
    for complaint in complaints:
        print(complaint)
    if complaints or count < 500:
        sys.exit(1)


if __name__ == "__main__":
    main()

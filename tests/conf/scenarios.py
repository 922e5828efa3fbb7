#!/usr/bin/env python3
"""scenarios.py VUB: config/scenario.schema.json and the program say the same of
every key of every step, as agreement.py has it of the config. A scenario is
read without a config, and vub is not there to be asked: one that is good fails
for that."""

import json
import os
import subprocess
import sys
import tempfile

import agreement
import schema as schemas


def run(vub, document):
    """The pointers of the errors that are told of a scenario."""
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "s.json")
        with open(path, "w") as f:
            json.dump(document, f)
        done = subprocess.run(
            [vub, "scenario", "--socket", os.path.join(directory, "none"),
             path], text=True, capture_output=True)
    assert done.returncode in (1, 2), (document, done)
    if done.returncode == 1:
        assert "No such file" in done.stderr, done.stderr
        return []
    prefix = path + ": "
    told = []
    for line in done.stderr.splitlines():
        assert line.startswith(prefix), line
        told.append(line[len(prefix):].split(": ")[0])
    return told


of_config = agreement.allowed_rule


def allowed_rule(at):
    """Places where the program has rules that a schema cannot say."""
    while at.startswith("/steps/0/repeat/steps/0"):
        at = at.replace("/repeat/steps/0", "", 1)
    parts = at.strip("/").split("/")
    kind = parts[2] if len(parts) > 2 else ""
    if kind in ("expect", "run"):
        return True  # which keys go together; a JSON Pointer
    if kind in ("device.add", "scsi.lun_add"):
        return of_config(at) or len(parts) == 3 or \
            parts[3] in ("sg", "read_only")
    return parts[-1] in ("process", "file", "name") or \
        kind in ("gpu.wait", "gpu.resize", "input.send", "input.point",
                 "input.click", "input.key", "input.type", "input.replay",
                 "throttle.set", "block.resize", "scsi.resize",
                 "gpu.screenshot")


def main():
    vub = sys.argv[1]
    s = schemas.Schema(schemas.load_file("scenario.schema.json"))
    complaints, count, batch = [], 0, []

    def judge(document, told, at):
        found = agreement.judge(s, document, told, at)
        if found:
            complaints.append(found)

    def flush():
        if not batch:
            return
        told = run(vub, {"steps": [step for _, step in batch]})
        for n, (at, step) in enumerate(batch):
            mine = [t.replace(f"/steps/{n}", "/steps/0", 1) for t in told
                    if (t + "/").startswith(f"/steps/{n}/")]
            judge({"steps": [step]}, mine, at)
        batch.clear()

    agreement.allowed_rule = allowed_rule
    for at, document in agreement.variants(s.root, s):
        if "device.add/config/" in at or "scsi.lun_add/store/" in at:
            continue  # those of a config are agreement.py's
        if "/repeat/steps/0/" in at and "." in at:
            continue  # commands are the same there
        count += 1
        # Steps go into one document as long as only theirs are at stake.
        if at.startswith("/steps/0"):
            batch.append((at, document["steps"][0]))
            if len(batch) == 30:
                flush()
        else:
            judge(document, run(vub, document), at)
    flush()
    print(f"{count} scenarios, {len(complaints)} disagreements")
    for complaint in complaints:
        print(complaint)
    if complaints or count < 1000:
        sys.exit(1)


main()

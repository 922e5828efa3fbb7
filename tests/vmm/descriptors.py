#!/usr/bin/env python3
"""descriptors.py VUB FILE...: the descriptors that are installed in
/usr/share/qemu/vhost-user, held to the rules of QEMU's
docs/interop/vhost-user.json (VHostUserBackend, VHostUserBackendType) and to
what the programs say of themselves. Installing puts another prefix into them if
there is one."""

import json
import os
import re
import subprocess
import sys
import tempfile

TYPES = {"9p", "balloon", "block", "caif", "console", "crypto", "gpu", "input",
         "net", "rng", "rpmsg", "rproc-serial", "scsi", "vsock", "fs"}
MEMBERS = {"description": str, "type": str, "binary": str}
OPTIONAL = {"tags": list}


def check(path, vub):
    name = os.path.basename(path)
    assert re.fullmatch(r"\d\d-[a-z0-9-]+\.json", name), name
    with open(path) as f:
        document = json.load(f)
    for member, kind in MEMBERS.items():
        assert isinstance(document.get(member), kind), (name, member)
        assert document[member], (name, member)
    assert set(document) <= set(MEMBERS) | set(OPTIONAL), (name, document)
    assert all(isinstance(tag, str) for tag in document.get("tags", []))
    assert document["type"] in TYPES, (name, document["type"])
    binary = document["binary"]
    assert binary == f"/usr/bin/vub-{document['type']}", (name, binary)
    # As management software does: the binary, asked for its capabilities.
    with tempfile.TemporaryDirectory() as directory:
        link = os.path.join(directory, os.path.basename(binary))
        os.symlink(vub, link)
        said = subprocess.run([link, "--print-capabilities"], check=True,
                              capture_output=True, text=True).stdout
    assert json.loads(said)["type"] == document["type"], said
    return document["type"]


def main():
    vub, files = os.path.abspath(sys.argv[1]), sys.argv[2:]
    found = sorted(check(path, vub) for path in files)
    assert found == ["block", "gpu", "input", "scsi"], found


main()

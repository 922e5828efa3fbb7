"""Logical units that are SCSI devices of the host: vub runs inside the guest,
whose kernel has one to play with (tools/node.c)."""

import os

SCRIPT = """
export VUB=/tools/vub VUB_DUMPABLE=1 ASAN_OPTIONS=detect_leaks=0
export VUB_TEST_TIMEOUT_MS=40000
guest_node 2>&1
"""


def run(rig):
    guest = rig.guest(SCRIPT, [], kit="node", cpus=2, programs=[
        rig.binary, os.path.join(rig.tools, "guest_node")])
    guest.wait_success()

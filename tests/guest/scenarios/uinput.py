"""What of the evdev source needs a kernel with uinput: vub runs inside the
guest, beside devices that a test program makes there (tools/uinput.c)."""

import os

SCRIPT = """
export VUB=/tools/vub VUB_DUMPABLE=1 ASAN_OPTIONS=detect_leaks=0
export VUB_TEST_TIMEOUT_MS=20000
guest_uinput 2>&1
"""


def run(rig):
    guest = rig.guest(SCRIPT, [], kit="uinput", cpus=2, programs=[
        rig.binary, os.path.join(rig.tools, "guest_uinput")])
    guest.wait_success()

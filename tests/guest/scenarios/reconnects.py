"""A hundred front-ends come and go on one socket, some politely, some killed;
vub keeps no descriptor of any, and then serves a guest as on the first day."""

from rig.image import MIB
from rig.rig import block

ROUNDS = 100

SCRIPT = """
dd if=/dev/urandom of=/dev/vda bs=1M count=4 conv=fsync 2>/dev/null
tell hash "$(hash /dev/vda)"
"""


def come_and_go(rig, disk, n):
    qemu = rig.qemu([disk], name="visitor", memory="64M", extra=["-S"])
    assert qemu.qmp("query-status")["status"] == "prelaunch"
    if n % 4 == 3:
        qemu.close()
    else:
        qemu.quit()


def run(rig):
    image = rig.image(size=16 * MIB)
    vub = rig.vub(block(image))
    disk = rig.disk(vub)
    for n in range(4):
        come_and_go(rig, disk, n)
    fds = vub.open_fds()
    for n in range(ROUNDS - 4):
        come_and_go(rig, disk, n)
    # The last one went politely: what it had is closed, or soon will be.
    assert vub.open_fds() <= fds, (vub.open_fds(), fds)
    rig.note(f"{ROUNDS} visits")
    guest = rig.guest(SCRIPT, [disk])
    assert guest.wait_told("hash") == image.hash()
    guest.wait_success()

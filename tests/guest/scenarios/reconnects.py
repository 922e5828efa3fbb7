"""A hundred front-ends come and go on one socket, some politely, some killed;
vub keeps no descriptor of any, and then serves a guest as on the first day."""

from rig.image import MIB
from rig.rig import block

ROUNDS = 100

SCRIPT = """
dd if=/dev/urandom of=/dev/vda bs=1M count=4 conv=fsync 2>/dev/null
tell hash "$(hash /dev/vda)"
"""


def visit(rig, vub, n, usual):
    """How many descriptors vub has while this front-end is there: as usual when
    all of the one before it is closed, which a thread does."""
    qemu = rig.qemu([rig.disk(vub)], name="visitor", memory="64M",
                    extra=["-S"])
    assert qemu.qmp("query-status")["status"] == "prelaunch"
    fds = vub.open_fds()
    for _ in range(1000):
        if usual is None or fds == usual:
            break
        qemu.qmp("query-status")
        fds = vub.open_fds()
    if n % 4 == 3:
        qemu.close()
    else:
        qemu.quit()
    return fds


def run(rig):
    image = rig.image(size=16 * MIB)
    vub = rig.vub(block(image))
    usual = visit(rig, vub, 0, None)
    fds = [visit(rig, vub, n, usual) for n in range(1, ROUNDS)]
    assert set(fds) == {usual}, (usual, fds)
    rig.note(f"{ROUNDS} visits")
    guest = rig.guest(SCRIPT, [rig.disk(vub)])
    assert guest.wait_told("hash") == image.hash()
    guest.wait_success()

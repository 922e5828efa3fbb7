"""SCSI units: how a config has them, how a guest finds them.

A unit is (target, number). What the guest calls it depends on who was found
first, so scripts ask: `disk T L` prints a disk's name, `node T L` that of its
generic node. Both are there once the guest's kernel has said so on its
console: wait_attached."""

import os

CHAP = ("vub", "secret-of-twelve")

SHELL = """
unit_dir() {
    echo /sys/class/scsi_device/*:0:$1:$2/device
}

disk() {
    ls "$(unit_dir $1 $2)/block"
}

node() {
    ls "$(unit_dir $1 $2)/scsi_generic"
}

# Of the driver: bit 34 is packed rings.
scsi_feature() {
    for device in /sys/bus/virtio/devices/*; do
        [ "$(cat $device/device)" != 0x0008 ] ||
            cut -c "$(($1 + 1))" $device/features
    done
}
"""

# What scripts begin with: nothing is asked before it is there.
ATTACHED = SHELL + """
tell booted
hear attached
"""


def wait_attached(guest, count, what="SCSI disk"):
    """Until the guest's kernel has attached so many in all; "scsi generic" is
    the other thing that it attaches."""
    text = "Attached " + what

    def attached():
        return sum(text in line for line in guest.console.lines) >= count

    guest.loop.wait(attached, 150, f"{count} times \"{text}\"")


def boot(guest, count, what="SCSI disk"):
    """The other side of ATTACHED."""
    guest.wait_told("booted")
    wait_attached(guest, count, what)
    guest.say("attached")


def controller(*luns, id="san", **keys):
    """A SCSI controller of the config."""
    return {"id": id, "type": "scsi", "queues": 2, "luns": list(luns), **keys}


def memory(target, lun, size="64M", **keys):
    return {"target": target, "lun": lun,
            "store": {"type": "memory", "size": size}, **keys}


def file(target, lun, image, **keys):
    return {"target": target, "lun": lun,
            "store": {"type": "file", "path": image.path}, **keys}


def iscsi(rig, target, lun, server, number, **keys):
    """A unit of an iSCSI target that asks for CHAP."""
    secret = rig.path("chap.secret")
    with open(secret, "w") as f:
        f.write(CHAP[1] + "\n")
    os.chmod(secret, 0o600)
    return {"target": target, "lun": lun, "iscsi": {
        "url": server.url(number),
        "chap": {"user": CHAP[0], "secret_file": secret}, **keys}}

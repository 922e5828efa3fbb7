"""Two targets with two units each, half of them vub's own disks and half units
of an iSCSI target: the guest's kernel finds them, sg3-utils get right answers,
fio verifies its load on each; on split and on packed rings."""

from rig import load, units
from rig.image import MIB
from rig.loop import Failure

SECTORS = 131072  # 64 MiB
UNITS = ((0, 0), (0, 1), (1, 0), (1, 3))

# What sg3-utils say, in the words of version 1.46.
TOOLS = """
say() {
    echo "$1:"
    shift
    "$@" >/tmp/out 2>&1 || { cat /tmp/out; echo "failed: $*"; return 1; }
}

has() {
    grep -q -- "$1" /tmp/out || { cat /tmp/out; echo "no \\"$1\\""; return 1; }
}

is disks "$(ls -d /sys/block/sd? | wc -l)" 4
is packed "$(scsi_feature 34)" %(packed)d
is hotplug "$(scsi_feature 1)" 1
is change "$(scsi_feature 2)" 1

# vendor product serial
identity() {
    n=/dev/$(node $1 $2)
    say "sg_inq of $1:$2" sg_inq $n
    has "Vendor identification: $3"
    has "Product identification: $4"
    [ -z "$5" ] || has "Unit serial number: $5"
    say "sg_vpd sv" sg_vpd -p sv $n
    for page in sv sn di bl bdc lbpv; do
        has "\\[$page\\]"
    done
    say "sg_vpd sn" sg_vpd -p sn $n
    [ -z "$5" ] || has "Unit serial number: $5"
    say "sg_vpd di" sg_vpd -p di $n
    has "designator type"
    say "sg_vpd bl" sg_vpd -p bl $n
    has "Block limits VPD page"
    say "sg_vpd bdc" sg_vpd -p bdc $n
    say "sg_vpd lbpv" sg_vpd -p lbpv $n
    say "sg_readcap" sg_readcap $n
    has "Number of logical blocks=%(sectors)d"
    say "sg_readcap 16" sg_readcap --16 $n
    has "Number of logical blocks=%(sectors)d"
    has "Logical block length=512 bytes"
    is size "$(cat /sys/block/$(disk $1 $2)/size)" %(sectors)d
}

identity 0 0 VUB DISK first-unit
identity 0 1 VUB DISK second-unit
identity 1 0 IET VIRTUAL-DISK
identity 1 3 IET VIRTUAL-DISK

list() {
    sg_luns "$@" | tail -n +3 | tr -d ' \\n'
}

for unit in "0 0" "0 1"; do
    is "units of target 0" "$(list /dev/$(node $unit))" \\
        00000000000000000001000000000000
done
for unit in "1 0" "1 3"; do
    is "units of target 1" "$(list /dev/$(node $unit))" \\
        00000000000000000003000000000000
done
is "well-known units" "$(list -s 1 /dev/$(node 0 0))" c101000000000000
"""

# Reservations reach the target, where others find them.
RESERVE = """
n=/dev/$(node 1 0)
say "register" sg_persist --out --register --param-sark=0xabc $n
say "read keys" sg_persist --in --read-keys $n
has 0xabc
say "reserve" sg_persist --out --reserve --param-rk=0xabc --prout-type=3 $n
say "read reservation" sg_persist --in --read-reservation $n
has "Exclusive Access"
dd if=/dev/$(disk 1 0) of=/dev/null bs=1M count=1 2>/dev/null
tell reserved
hear released
say "release" sg_persist --out --release --param-rk=0xabc --prout-type=3 $n
say "unregister" sg_persist --out --register --param-rk=0xabc --param-sark=0 $n
say "read keys" sg_persist --in --read-keys $n
has "NO registered reservation keys"
tell free
hear "go on"
fails sg_persist --in --read-keys /dev/$(node 0 0)
"""

SPACE = """
dd if=/dev/urandom of=/dev/$(disk 0 1) bs=1M count=32 oflag=direct 2>/dev/null
sync
tell filled
hear "go on"
say "sg_unmap" sg_unmap --force --lba=8192 --num=32768 /dev/$(node 0 1)
tell unmapped
hear "go on"
"""

RESETS = """
for unit in "0 0" "0 1" "1 0" "1 3"; do
    say "sg_reset of $unit" sg_reset --device -N /dev/$(node $unit)
    dd if=/dev/$(disk $unit) of=/dev/null bs=1M count=1 iflag=direct 2>/dev/null
done
"""


def may_read(rig, target, lun):
    """Whether an initiator beside vub gets its reads done there."""
    process = rig.process(
        "other", ["iscsi-perf", "-i", "iqn.2026-01.example:other", "-m", "1",
                  "-t", "1", target.address(lun)])
    return process.wait_end(60) == 0


def run(rig):
    images = [rig.image(name) for name in ("own.img", "a.img", "b.img")]
    target = rig.target(*images[1:], chap=units.CHAP)
    vub = rig.vub(units.controller(
        units.memory(0, 0, serial="first-unit"),
        units.file(0, 1, images[0], serial="second-unit"),
        units.iscsi(rig, 1, 0, target, 1), units.iscsi(rig, 1, 3, target, 2)))
    packed = rig.variant == "packed"
    script = units.ATTACHED + TOOLS % {"packed": packed, "sectors": SECTORS}
    script += RESERVE + SPACE
    for t, lun in UNITS:
        script += load.run(load.SUITE, f"/dev/$(disk {t} {lun})")
    script += RESETS
    guest = rig.guest(script, [rig.scsi(
        vub, queues=2, **({"packed": "on"} if packed else {}))],
        kit="scsi", cpus=2)
    units.boot(guest, 4)
    rig.note("four disks")

    guest.wait_told("reserved")
    if may_read(rig, target, 1):
        raise Failure("a reservation does not keep others out")
    guest.say("released")
    guest.wait_told("free")
    if not may_read(rig, target, 1):
        raise Failure("nobody has a reservation, and others are kept out")
    guest.say("go on")

    guest.wait_told("filled")
    filled = images[0].allocated()
    guest.say("go on")
    guest.wait_told("unmapped")
    unmapped = images[0].allocated()
    rig.note(f"allocated: {filled >> 10} KiB, unmapped: {unmapped >> 10} KiB")
    assert filled - unmapped >= 16 * MIB, (filled, unmapped)
    guest.say("go on")
    guest.wait_success()

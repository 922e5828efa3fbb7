"""Load for scripts: fio, which verifies every block that it wrote.

The jobs differ in size, order and depth; a block carries its own offset and
a checksum, so one that is lost, torn, stale or misplaced is found. All are
asynchronous and past the guest's page cache."""

COMMON = """\
[global]
ioengine=libaio
direct=1
filename=/dev/vda
verify_fatal=1
verify_dump=0
group_reporting
"""

# Each job's part of the disk is its own: blocks are verified at the end of
# the job that wrote them, and nobody else may have been there.
SUITE = COMMON + """
[random-4k-deep]
rw=randwrite
bs=4k
iodepth=32
offset=0
size=6m
verify=crc32c

[second-queue]
rw=randwrite
bs=4k
iodepth=32
offset=6m
size=6m
verify=crc32c

[sizes-mixed]
stonewall
rw=randrw
bsrange=512-64k
blockalign=512
iodepth=16
offset=12m
size=16m
verify=md5

[sequential-128k]
stonewall
rw=write
bs=128k
iodepth=8
offset=28m
size=24m
verify=sha1

[sync-one-by-one]
stonewall
rw=randwrite
bs=8k
iodepth=1
fdatasync=4
offset=52m
size=2m
verify=crc32c
"""

# For load that lasts: each pass is short, the last one is whole.
PASS = COMMON + """
[random]
rw=randwrite
bsrange=4k-16k
blockalign=4k
iodepth=16
offset=0
size=6m
verify=crc32c

[mixed]
rw=randrw
bs=4k
iodepth=8
offset=6m
size=4m
verify=crc32c
"""


def run(jobs, disk="/dev/vda"):
    """Script: these jobs, once. disk: what the shell makes of it."""
    return f"""
sed "s:/dev/vda:{disk}:" >/tmp/jobs.fio <<'END'
{jobs}END
fio --eta=never --output=/tmp/fio.out /tmp/jobs.fio || {{ cat /tmp/fio.out; exit 1; }}
grep -E 'IOPS=' /tmp/fio.out
"""


def until_enough(before="", after="", disk="/dev/vda"):
    """Script: passes until the test says "enough", at least one. What was
    verified is told: how many passes."""
    return f"""
{before}
sed "s:/dev/vda:{disk}:" >/tmp/jobs.fio <<'END'
{PASS}END
tell running
( hear enough && touch /tmp/enough ) </dev/ttyS1 &
passes=0
while [ ! -e /tmp/enough ] || [ $passes = 0 ]; do
    fio --eta=never --output=/tmp/fio.out /tmp/jobs.fio || {{ cat /tmp/fio.out; exit 1; }}
    passes=$((passes + 1))
done
wait
{after}
tell passes $passes
"""

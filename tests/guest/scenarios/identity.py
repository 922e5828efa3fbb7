"""What the guest knows of a disk is what the config says: size, serial,
block sizes, queues, write cache; and every feature vub offers is taken."""

from rig.image import MIB
from rig.rig import block

SCRIPT = """
cd /sys/block/vda
is sectors "$(cat size)" 98304
is serial "$(cat serial)" vub-guest-0123
is logical "$(cat queue/logical_block_size)" 4096
is physical "$(cat queue/physical_block_size)" 4096
is read-only "$(cat ro)" 0
is queues "$(ls mq | wc -l)" 2
is cache "$(cat queue/write_cache)" "write back"
is flush "$(feature vda 9)" 1
is discard "$(feature vda 13)" 1
is write-zeroes "$(feature vda 14)" 1
is version-1 "$(feature vda 32)" 1
is indirect "$(feature vda 28)" 1
is event-index "$(feature vda 29)" 1
is packed "$(feature vda 34)" 0
"""


def run(rig):
    image = rig.image(size=48 * MIB)
    vub = rig.vub(block(image, queues=2, serial="vub-guest-0123",
                        logical_block_size=4096, physical_block_size=4096))
    guest = rig.guest(SCRIPT, [rig.disk(vub, queues=2)], cpus=2)
    guest.wait_success()

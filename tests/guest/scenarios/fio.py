"""fio writes in several patterns through two queues and verifies them, on
each kind of ring: split, packed, and split without indirect descriptors and
event index (`bare`); and on split rings that two threads serve (`workers`)."""

from rig import load
from rig.rig import block

# Ring options, and what the guest must then see in bits 34, 28 and 29.
RINGS = {
    "split": ({}, (0, 1, 1)),
    "packed": ({"packed": "on"}, (1, 1, 1)),
    "workers": ({}, (0, 1, 1)),
    "bare": ({"indirect_desc": "off", "event_idx": "off"}, (0, 0, 0)),
}


def check_features(packed, indirect, event_index):
    return f"""
is packed "$(feature vda 34)" {packed}
is indirect "$(feature vda 28)" {indirect}
is event-index "$(feature vda 29)" {event_index}
is queues "$(ls /sys/block/vda/mq | wc -l)" 2
"""


def run(rig):
    props, features = RINGS[rig.variant]
    workers = {"worker": ["a", "b"]} if rig.variant == "workers" else {}
    vub = rig.vub(block(rig.image(), queues=2, **workers))
    guest = rig.guest(check_features(*features) + load.run(load.SUITE),
                      [rig.disk(vub, queues=2, **props)], kit="fio", cpus=2)
    guest.wait_success()

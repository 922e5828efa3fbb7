#!/usr/bin/env python3
"""planted.py: layering.py finds what it is there to find."""

import os
import tempfile

import layering

HEADERS = ["base/err.h", "os/sock.h", "conf/conf.h", "loop/loop.h",
           "virtio/device.h", "iscsi/session.h", "store/store.h",
           "vhost/endpoint.h", "device/devices.h", "daemon/daemon.h"]

GOOD = [
    ("base/err.c", '"base/err.h"'),
    ("base/log.c", "<unistd.h>"),
    ("os/linux/sock.c", '"os/sock.h"'),
    ("os/linux/sock.c", "<sys/socket.h>"),
    ("os/thread.h", "<pthread.h>"),
    ("os/linux/memory.c", "<linux/memfd.h>"),
    ("conf/json.c", "<cjson/cJSON.h>"),
    ("conf/conf.c", "<sys/stat.h>"),
    ("loop/loop.h", "<uv.h>"),
    ("virtio/ring.c", '"os/sock.h"'),
    ("iscsi/session.c", '"loop/loop.h"'),
    ("store/file.c", '"iscsi/session.h"'),
    ("vhost/session.c", '"virtio/device.h"'),
    ("device/block/block.c", '"store/store.h"'),
    ("daemon/daemon.c", '"vhost/endpoint.h"'),
    ("daemon/daemon.c", '"device/devices.h"'),
    ("main.c", '"daemon/daemon.h"'),
]

BAD = [
    ("base/err.c", '"os/sock.h"', "base may not see os"),
    ("base/err.c", "<sys/epoll.h>", "only os/linux/*"),
    ("os/sock.h", "<sys/socket.h>", "only os/linux/*"),
    ("os/linux/sock.c", '"loop/loop.h"', "os may not see loop"),
    ("conf/read.c", "<cjson/cJSON.h>", "only conf/json.c"),
    ("conf/read.c", '"loop/loop.h"', "conf may not see loop"),
    ("loop/loop.c", '"virtio/device.h"', "loop may not see virtio"),
    ("virtio/ring.c", '"loop/loop.h"', "virtio may not see loop"),
    ("virtio/ring.c", '"conf/conf.h"', "virtio may not see conf"),
    ("virtio/ring.c", "<uv.h>", "only loop/*"),
    ("virtio/ring.h", "<linux/virtio_ring.h>", "only os/linux/*"),
    ("iscsi/session.c", '"virtio/device.h"', "iscsi may never see virtio"),
    ("store/file.c", '"vhost/endpoint.h"', "store may not see vhost"),
    ("store/file.c", "<sys/mman.h>", "only os/linux/*"),
    ("store/file.c", "  #  include <liburing.h>", "only os/linux/*"),
    ("vhost/session.c", '"device/devices.h"', "vhost may not see device"),
    ("vhost/session.c", '"store/store.h"', "vhost may not see store"),
    ("device/block/block.c", '"vhost/endpoint.h"',
     "device may never see vhost"),
    ("device/block/block.c", "<vhost/endpoint.h>",
     "device may never see vhost"),
    ("device/block/block.c", '"daemon/daemon.h"',
     "device may not see daemon"),
    ("daemon/daemon.c", '"main.h"', "there is no src/main.h"),
    ("daemon/daemon.c", '"options.h"', "there is no src/options.h"),
    ("daemon/daemon.c", '"base/err.c"', "base/err.c is no header"),
    ("extra/x.c", '"base/err.h"', "extra has no place"),
]


def write(src, path, text):
    full = os.path.join(src, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w") as f:
        f.write(text)


def look(path, included):
    """The faults of a tree in which `path` includes `included`."""
    with tempfile.TemporaryDirectory() as src:
        for header in HEADERS:
            write(src, header, "/* a header */\n")
        write(src, "base/err.c", "/* a source */\n")
        line = included if "#" in included else f"#include {included}"
        write(src, path, f"/* planted */\n{line}\n")
        return layering.faults(src)


def main():
    for path, included in GOOD:
        found = look(path, included)
        assert found == [], (path, included, found)
    for path, included, sentence in BAD:
        found = look(path, included)
        assert len(found) == 1 and sentence in found[0], \
            (path, included, found)
        place = f"{path}:1:" if path.startswith("extra") else f"{path}:2:"
        assert found[0].startswith(place), found
    print(f"{len(BAD)} planted faults are found, "
          f"{len(GOOD)} good includes are let pass")


main()

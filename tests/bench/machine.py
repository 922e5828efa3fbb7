"""The machine a run was made on, and the places its files lie.

A number means nothing without its machine: every report opens with
describe(). Files for the tests are made here, with content (a hole would be
read without touching a page), and put into the page cache or out of it."""

import os
import platform
import re
import subprocess
import tempfile


def cores():
    return sorted(os.sched_getaffinity(0))


def first_line(path, pattern):
    try:
        with open(path) as f:
            for line in f:
                found = re.match(pattern, line)
                if found:
                    return found.group(1).strip()
    except OSError:
        pass
    return "unknown"


def mount_of(path):
    """(device, type, options) of the file system that path lies on."""
    best = ("/", "unknown", "unknown", "")
    path = os.path.realpath(path)
    with open("/proc/mounts") as f:
        for line in f:
            device, where, kind, options = line.split()[:4]
            inside = path == where or path.startswith(where.rstrip("/") + "/")
            if inside and len(where) >= len(best[0]):
                best = (where, device, kind, options)
    return best[1:]


def version(*command):
    try:
        out = subprocess.run(command, capture_output=True, text=True,
                             check=False).stdout
    except OSError:
        return "not installed"
    return out.splitlines()[0].strip() if out else "unknown"


def describe(disk_dir, memory_dir):
    """Rows of (what, value) for the report."""
    model = first_line("/proc/cpuinfo", r"model name\s*:\s*(.*)")
    if model == "unknown":
        model = platform.machine()
    virtual = "hypervisor" in first_line("/proc/cpuinfo", r"flags\s*:\s*(.*)")
    kib = int(first_line("/proc/meminfo", r"MemTotal:\s*(\d+)") or 0)
    device, kind, options = mount_of(disk_dir)
    return [
        ("processor", "%d x %s%s" % (len(cores()), model,
                                     ", virtual" if virtual else "")),
        ("memory", "%.0f GiB" % (kib / 2**20)),
        ("kernel", platform.release()),
        ("memory files", mount_of(memory_dir)[1]),
        ("disk files", "%s on %s (%s)" % (kind, device, options)),
        ("qemu-storage-daemon", version("qemu-storage-daemon", "--version")),
        ("fio", version("fio", "--version")),
        ("vhost-user-gpu", version("dpkg-query", "-W", "-f", "${Version}",
                                   "qemu-system-gui")),
        ("load at start", "%.2f" % os.getloadavg()[0]),
    ]


class Files:
    """Test files in two temporary directories, gone after the with."""

    def __init__(self, size, disk_dir, memory_dir="/dev/shm"):
        self.size = size
        self.parents = {"tmpfs": memory_dir, "disk": disk_dir}
        self.dirs = {}
        self.made = {}

    def __enter__(self):
        for kind, parent in self.parents.items():
            self.dirs[kind] = tempfile.TemporaryDirectory(
                prefix="vub-bench-", dir=parent)
        return self

    def __exit__(self, *unused):
        for directory in self.dirs.values():
            directory.cleanup()

    def scratch(self):
        """For sockets and configs."""
        return self.dirs["tmpfs"].name

    def path(self, medium):
        """The file of a medium; made when first asked for."""
        if medium not in self.made:
            kind = "tmpfs" if medium == "tmpfs" else "disk"
            path = os.path.join(self.dirs[kind].name, medium + ".img")
            fill(path, self.size)
            self.made[medium] = path
        return self.made[medium]

    def prepare(self, medium, op):
        """Before each cell. In the page cache: all of it there, and dirty
        before writes, so that no sample measures first touches. On the disk:
        nothing in the page cache, nothing that waits to be written."""
        if medium == "ext4" and op == "write":
            fill(self.path(medium), self.size)
        elif medium == "ext4":
            warm(self.path(medium))
        elif medium == "direct":
            forget(self.path(medium))


def fill(path, size, piece=4096):
    """In small writes, as guests do: files written in large ones lie in the
    page cache in large folios, of which ext4 looks at every block for each
    small write: 12 us instead of 1."""
    noise = os.urandom(1 << 20)
    fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        for at in range(0, size, piece):
            start = at % len(noise)
            os.pwrite(fd, noise[start:start + piece], at)
    finally:
        os.close(fd)


def warm(path):
    buffer = bytearray(4 << 20)
    with open(path, "rb", buffering=0) as f:
        while f.readinto(buffer):
            pass


def forget(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fdatasync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)

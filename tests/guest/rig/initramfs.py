"""The guest's root file system: an archive made from this machine's programs.

Two parts that the kernel unpacks one after the other: a base, made once
(busybox, modules, tools with their libraries), and what is of one run: the
test's script, and programs of our own. There is a base for each kit: what only
some tests need, and would be a burden for the others (Debian's fio is linked
with the clients of half a dozen storage systems, 80 MB of them).

Format: cpio "newc", as in the kernel's
Documentation/driver-api/early-userspace/buffer-format.rst.
"""

import os
import re
import shutil
import stat
import subprocess

from . import manager
from .kernel import read_module

TOOLS = ("mkfs.ext4", "e2fsck", "sfdisk", "blkdiscard", "blockdev", "fstrim")
MODULES = ("virtio_pci", "virtio_blk", "ext4", "crc32c_generic")
# name: (programs, modules)
KITS = {
    "plain": ((), ()),
    "fio": (("fio",), ()),
    "input": (("evtest",), ("virtio_input", "evdev", "input_leds")),
    "demo": ((), ("virtio_input", "evdev", "virtio_scsi", "sd_mod",
                  "virtio_gpu")),
    "isolation": (("fio",), ("virtio_input", "evdev")),
    "takeover": (("fio",), ("virtio_input", "evdev", "virtio_scsi", "sd_mod")),
    "uinput": ((), ("uinput", "evdev")),
    "node": ((), ("sg", "scsi_debug")),
    "scsi": (("fio", "sg_inq", "sg_vpd", "sg_luns", "sg_readcap", "sg_persist",
              "sg_unmap", "sg_reset"), ("virtio_scsi", "sd_mod", "sg")),
    "conformance": (("iscsi-test-cu",), ("virtio_scsi", "sg")),
    "gpu": (("modetest",), ("virtio_gpu",)),
    "udmabuf": ((), ()),
    "database": (("sqlite3",), ()),
    "installer": (("whiptail",), ("virtio_input", "evdev", "virtio_gpu")),
    "raid": (("mdadm",), ("raid1",)),
    "systemd": (manager.PROGRAMS, ("evdev",)),
    "systemd-newer": (manager.PROGRAMS, ("evdev",)),
}
# Files that a kit's programs read, by their paths here and there.
FILES = {"installer": ("/lib/terminfo/l/linux",)}
# Looked for after PATH: a user's PATH has no sbin.
SBIN = "/usr/local/sbin:/usr/sbin:/sbin"
HERE = os.path.join(os.path.dirname(__file__), "..", "initramfs")


class Archive:
    def __init__(self, out):
        self._out = out
        self._inode = 0
        self._dirs = set()

    def dir(self, path):
        parts = path.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            name = "/".join(parts[:i])
            if name and name not in self._dirs:
                self._dirs.add(name)
                self._entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, path, data, mode=0o644):
        self.dir(os.path.dirname(path))
        self._entry(path.lstrip("/"), stat.S_IFREG | mode, data)

    def link(self, path, target):
        self.dir(os.path.dirname(path))
        self._entry(path.lstrip("/"), stat.S_IFLNK | 0o777, target.encode())

    def end(self):
        self._entry("TRAILER!!!", 0, b"")

    def _entry(self, name, mode, data):
        self._inode += 1
        name = name.encode() + b"\0"
        # inode mode uid gid nlink mtime filesize dev rdev namesize check
        fields = (self._inode, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0,
                  len(name), 0)
        head = b"070701" + b"".join(b"%08X" % f for f in fields) + name
        self._out.write(head + b"\0" * (-len(head) % 4))
        self._out.write(data)
        self._out.write(b"\0" * (-len(data) % 4))


def base(cache, kernel, kit):
    """The path of the base archive, made in `cache` if it is not there or
    older than this program, the kernel or a tool."""
    programs, more_modules = KITS[kit]
    tools = [find_program(name) for name in TOOLS + programs]
    busybox = find_program("busybox")
    scripts = [os.path.join(HERE, name) for name in sorted(os.listdir(HERE))]
    out = os.path.join(cache, f"base-{kit}.cpio")
    with_manager = kit in manager.KITS
    more = manager.sources() if with_manager else []
    if _is_fresh(out, [__file__, manager.__file__, kernel.image, busybox,
                       *tools, *scripts, *more]):
        return out
    partial = f"{out}.{os.getpid()}"
    with open(partial, "wb") as f:
        archive = Archive(f)
        for path in ("dev", "proc", "sys", "tmp", "mnt", "bin", "sbin"):
            archive.dir(path)
        _add_program(archive, busybox, "bin/busybox")
        archive.link("sbin/modprobe", "/bin/busybox")
        for tool in tools:
            _add_program(archive, tool, "tools/" + os.path.basename(tool))
        modules = kernel.module_files(MODULES + more_modules)
        names = [os.path.basename(path).removesuffix(".xz")
                 for path in modules]
        for path, name in zip(modules, names):
            archive.file("modules/" + name, read_module(path))
        archive.file("modules/order", "".join(
            name + "\n" for name in names).encode())
        for path in FILES.get(kit, ()):
            archive.file(path, _read(path))
        if with_manager:
            manager.add(archive, _add_program)
        for path in scripts:
            archive.file(os.path.basename(path), _read(path), 0o755)
        archive.end()
    os.rename(partial, out)
    return out


def build(out, base_path, script, programs=()):
    """Writes the base, a script for /bin/sh, and programs by their paths, to
    `out`."""
    with open(out, "wb") as f:
        with open(base_path, "rb") as b:
            shutil.copyfileobj(b, f, 1 << 20)
        f.write(b"\0" * (-f.tell() % 512))
        archive = Archive(f)
        archive.file("script", script.encode(), 0o755)
        for path in programs:
            _add_program(archive, path, "tools/" + os.path.basename(path))
        archive.end()


def _is_fresh(path, sources):
    try:
        made = os.path.getmtime(path)
    except FileNotFoundError:
        return False
    return all(os.path.getmtime(source) < made for source in sources)


def find_program(name):
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":" + SBIN)
    if path is None:
        raise SystemExit(f"{name} is not installed: run scripts/test, which "
                         "installs what the tests need")
    return path


def _add_program(archive, path, name):
    archive.file(name, _read(path), 0o755)
    libraries = _libraries(path)
    for loaded in _loaded_libraries(path):
        libraries += [loaded] + _libraries(loaded)
    for library in libraries:
        if library not in archive._dirs:
            archive._dirs.add(library)
            archive.file(library, _read(library), 0o755)


def _loaded_libraries(path):
    """Those that vub loads when there is a use for them: their names are in it,
    as the dynamic linker wants them."""
    if os.path.basename(path) != "vub":
        return []
    names = set(re.findall(rb"(?<![\w/+.-])lib[\w+.-]+\.so\.[0-9]+(?=\0)", _read(path)))
    known = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True,
                           text=True, check=True).stdout
    return [path for name in sorted(names) for path in
            re.findall(rf"^\s{re.escape(name.decode())} .* => (\S+)$", known,
                       re.M)[:1]]


def _libraries(path):
    """ldd's lines are "name => path (address)" or, for the loader, "path
    (address)". Nothing for a static program."""
    shown = subprocess.run(["ldd", path], capture_output=True, text=True,
                           env={"LC_ALL": "C", "PATH": os.defpath})
    libraries = []
    for line in shown.stdout.splitlines():
        words = line.split()
        if len(words) >= 3 and words[1] == "=>" and words[2][0] == "/":
            libraries.append(words[2])
        elif words and words[0].startswith("/") and len(words) == 2:
            libraries.append(words[0])
    return libraries


def _read(path):
    with open(path, "rb") as f:
        return f.read()

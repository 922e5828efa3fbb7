"""Debian's own kernel, from wherever it can be had.

Installed on this machine, or else taken out of its package, which is fetched
with apt and unpacked beside the build, never installed: installing a kernel
would build an initramfs and touch the boot loader, and fails in containers.

vmlinuz is a small loader around a compressed vmlinux. QEMU can start the
vmlinux directly, by its PVH entry point; emulated, that halves the boot. It is
taken out if it is an xz stream, which Python can read: the newer kernels are
not, and start as they are.

Debian 12's kernel is built without udmabuf, which one test needs: that of its
backports has it, and is fetched in the same way, with lists of packages of its
own, so that what the machine installs from stays as it is. The kernel for
clouds is a third of the size.

Run as a program it makes a cache directory ready: kernel.py CACHE [udmabuf].
"""

import glob
import lzma
import os
import shutil
import struct
import subprocess
import sys

PACKAGE = "linux-image-amd64"
BACKPORTS_PACKAGE = "linux-image-cloud-amd64"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
XZ = b"\xfd7zXZ\0"


class Kernel:
    """image: path of what QEMU boots. modules: the directory of this kernel's
    modules."""

    def __init__(self, cache, root):
        self.release = os.path.basename(
            max(glob.glob(os.path.join(root, "boot/vmlinuz-*-amd64")),
                key=os.path.getmtime)).removeprefix("vmlinuz-")
        self.modules = _first_dir(
            os.path.join(root, "lib/modules", self.release),
            os.path.join(root, "usr/lib/modules", self.release))
        self._config = os.path.join(root, f"boot/config-{self.release}")
        self.image = os.path.join(cache, f"vmlinux-{self.release}")
        if not os.path.exists(self.image):
            vmlinuz = os.path.join(root, f"boot/vmlinuz-{self.release}")
            if not _unpack_vmlinux(vmlinuz, self.image):
                self.image = vmlinuz
        self._files = {
            os.path.basename(path).split(".")[0].replace("-", "_"): path
            for pattern in ("kernel/**/*.ko", "kernel/**/*.ko.xz")
            for path in glob.glob(os.path.join(self.modules, pattern),
                                  recursive=True)}

    def has(self, option):
        """Is it built in?"""
        with open(self._config) as f:
            return option + "=y\n" in f

    def module_files(self, names):
        """Paths of these modules and all they depend on, in an order that
        insmod accepts. A name that is no module is built in: left out."""
        order = []

        def add(name):
            path = self._files.get(name.replace("-", "_"))
            if path is None or path in order:
                return
            for needed in _depends(path):
                add(needed)
            order.append(path)

        for name in names:
            add(name)
        return order


NEWER_KITS = ("udmabuf", "systemd-newer")  # of initramfs.py


def find(cache, newer=False):
    """The kernel, made ready in the directory `cache` if need be. newer: one
    that has udmabuf."""
    os.makedirs(cache, exist_ok=True)
    kernel = _find_usual(cache)
    if not newer or kernel.has("CONFIG_UDMABUF"):
        return kernel
    unpacked = os.path.join(cache, "kernel-backports")
    if not os.path.isdir(unpacked):
        _fetch(cache, unpacked, BACKPORTS_PACKAGE, _backports(cache))
    return Kernel(cache, unpacked)


def _find_usual(cache):
    unpacked = os.path.join(cache, "kernel")
    if os.path.isdir(unpacked):
        return Kernel(cache, unpacked)
    if _is_whole("/"):
        return Kernel(cache, "/")
    _fetch(cache, unpacked, PACKAGE)
    return Kernel(cache, unpacked)


def read_module(path):
    """As insmod takes it."""
    with open(path, "rb") as f:
        data = f.read()
    return lzma.decompress(data) if data.startswith(XZ) else data


def _is_whole(root):
    """A vmlinuz without modules is of no use, and containers have some."""
    return any(
        os.path.isdir(os.path.join(
            root, "lib/modules",
            os.path.basename(path).removeprefix("vmlinuz-"), "kernel/fs/ext4"))
        and os.access(path, os.R_OK)
        for path in glob.glob(os.path.join(root, "boot/vmlinuz-*-amd64")))


def _fetch(cache, unpacked, meta, options=()):
    """meta: a package that is empty and depends on the newest kernel's. options:
    more of apt's."""
    package = _newest_package(meta, options)
    print(f"fetching {package} with apt, for its files; it is not installed",
          flush=True)
    deb_dir = os.path.join(cache, "deb")
    shutil.rmtree(deb_dir, ignore_errors=True)
    os.makedirs(deb_dir)
    # Else root's apt fetches as the user _apt, who may not come here when the
    # clone is in /root, and warns of that.
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", *options,
          "download", package], deb_dir)
    [deb] = glob.glob(os.path.join(deb_dir, "*.deb"))
    partial = unpacked + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    _run(["dpkg-deb", "-x", deb, partial], ".")
    os.rename(partial, unpacked)
    shutil.rmtree(deb_dir)


def _run(argv, directory):
    if subprocess.run(argv, cwd=directory,
                      stdin=subprocess.DEVNULL).returncode != 0:
        raise SystemExit(f"{argv[0]} could not do it")


def _newest_package(meta, options):
    shown = subprocess.run(["apt-cache", *options, "depends", meta],
                           capture_output=True, text=True).stdout
    for line in shown.splitlines():
        word = line.split()[-1]
        if line.strip().startswith("Depends:") and "linux-image-" in word:
            return word
    raise SystemExit(f"apt knows no package {meta}")


def _backports(cache):
    """apt's options for the backports of this Debian alone, from where this
    machine has its Debian from, after their lists have been fetched."""
    shown = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)",
         "Created-By: Packages", "Origin: Debian", "Label: Debian"],
        capture_output=True, text=True).stdout.split()
    if not shown:
        raise SystemExit("apt has no list of Debian's packages")
    directory = os.path.join(cache, "apt")
    for name in "lists/partial", "archives/partial":
        os.makedirs(os.path.join(directory, name), exist_ok=True)
    sources = os.path.join(directory, "sources.list")
    with open(sources, "w") as f:
        f.write(f"deb [signed-by={KEYRING}] {shown[0]} "
                f"{shown[1].partition('-')[0]}-backports main\n")
    options = []
    for option in ("Dir::Etc::SourceList=" + os.path.abspath(sources),
                   "Dir::Etc::SourceParts=/dev/null",
                   "Dir::State=" + os.path.abspath(directory),
                   "Dir::State::Status=/dev/null",
                   "Dir::Cache=" + os.path.abspath(directory),
                   "APT::Sandbox::User=root"):
        options += ["-o", option]
    _run(["apt-get", "-q", *options, "update"], ".")
    return options


def _unpack_vmlinux(vmlinuz, out):
    """False: it is no xz stream. The boot protocol's header says where the
    compressed kernel lies: Documentation/x86/boot.rst, setup_sects and
    payload_offset."""
    with open(vmlinuz, "rb") as f:
        image = f.read()
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    if not image.startswith(XZ, start):
        return False
    # The last four bytes are the unpacked size, which is not xz's.
    vmlinux = lzma.decompress(image[start:start + length - 4])
    with open(out + ".partial", "wb") as f:
        f.write(vmlinux)
    os.rename(out + ".partial", out)  # whole, or not there
    return True


def _depends(module):
    """A module's .modinfo holds "depends=a,b" among its NUL-ended strings."""
    data = read_module(module)
    start = data.index(b"\0depends=") + len(b"\0depends=")
    names = data[start:data.index(b"\0", start)].decode()
    return [name for name in names.split(",") if name]


def _first_dir(*paths):
    for path in paths:
        if os.path.isdir(path):
            return path
    raise SystemExit(f"no kernel modules in {' or '.join(paths)}")


if __name__ == "__main__":
    print("guest kernel:", find(sys.argv[1]).release)
    if "udmabuf" in sys.argv[2:]:
        print("one with udmabuf:", find(sys.argv[1], newer=True).release)

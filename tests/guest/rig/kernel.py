"""Debian's own kernel, from wherever it can be had.

Installed on this machine, or else taken out of its package, which is fetched
with apt and unpacked beside the build, never installed: installing a kernel
would build an initramfs and touch the boot loader, and fails in containers.

vmlinuz is a small loader around a compressed vmlinux. QEMU can start the
vmlinux directly, by its PVH entry point; emulated, that halves the boot.

Run as a program it makes a cache directory ready: kernel.py CACHE.
"""

import glob
import lzma
import os
import shutil
import struct
import subprocess
import sys

PACKAGE = "linux-image-amd64"


class Kernel:
    """vmlinux: path. modules: the directory of this kernel's modules."""

    def __init__(self, cache, root):
        self.release = os.path.basename(
            max(glob.glob(os.path.join(root, "boot/vmlinuz-*-amd64")),
                key=os.path.getmtime)).removeprefix("vmlinuz-")
        self.modules = _first_dir(
            os.path.join(root, "lib/modules", self.release),
            os.path.join(root, "usr/lib/modules", self.release))
        self.vmlinux = os.path.join(cache, f"vmlinux-{self.release}")
        if not os.path.exists(self.vmlinux):
            _unpack_vmlinux(
                os.path.join(root, f"boot/vmlinuz-{self.release}"),
                self.vmlinux)
        self._files = {
            os.path.basename(path).replace("-", "_"): path
            for path in glob.glob(os.path.join(self.modules, "kernel/**/*.ko"),
                                  recursive=True)}

    def module_files(self, names):
        """Paths of these modules and all they depend on, in an order that
        insmod accepts. A name that is no module is built in: left out."""
        order = []

        def add(name):
            path = self._files.get(name.replace("-", "_") + ".ko")
            if path is None or path in order:
                return
            for needed in _depends(path):
                add(needed)
            order.append(path)

        for name in names:
            add(name)
        return order


def find(cache):
    """The kernel, made ready in the directory `cache` if need be."""
    os.makedirs(cache, exist_ok=True)
    unpacked = os.path.join(cache, "kernel")
    if os.path.isdir(unpacked):
        return Kernel(cache, unpacked)
    if _is_whole("/"):
        return Kernel(cache, "/")
    _fetch(cache, unpacked)
    return Kernel(cache, unpacked)


def _is_whole(root):
    """A vmlinuz without modules is of no use, and containers have some."""
    return any(
        os.path.isdir(os.path.join(
            root, "lib/modules",
            os.path.basename(path).removeprefix("vmlinuz-"), "kernel/fs/ext4"))
        and os.access(path, os.R_OK)
        for path in glob.glob(os.path.join(root, "boot/vmlinuz-*-amd64")))


def _fetch(cache, unpacked):
    """PACKAGE is empty and depends on the newest kernel's package."""
    package = _newest_package()
    print(f"fetching {package} with apt, for its files; it is not installed",
          flush=True)
    deb_dir = os.path.join(cache, "deb")
    shutil.rmtree(deb_dir, ignore_errors=True)
    os.makedirs(deb_dir)
    # Else root's apt fetches as the user _apt, who may not come here when the
    # clone is in /root, and warns of that.
    _run(["apt-get", "-q", "-o", "APT::Sandbox::User=root", "download",
          package], deb_dir)
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


def _newest_package():
    shown = subprocess.run(["apt-cache", "depends", PACKAGE],
                           capture_output=True, text=True).stdout
    for line in shown.splitlines():
        word = line.split()[-1]
        if line.strip().startswith("Depends:") and "linux-image-" in word:
            return word
    raise SystemExit(f"apt knows no package {PACKAGE}")


def _unpack_vmlinux(vmlinuz, out):
    """The boot protocol's header says where the compressed kernel lies:
    Documentation/x86/boot.rst, setup_sects and payload_offset."""
    with open(vmlinuz, "rb") as f:
        image = f.read()
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    # The last four bytes are the unpacked size, which is not xz's.
    vmlinux = lzma.decompress(image[start:start + length - 4])
    with open(out + ".partial", "wb") as f:
        f.write(vmlinux)
    os.rename(out + ".partial", out)  # whole, or not there


def _depends(module):
    """A module's .modinfo holds "depends=a,b" among its NUL-ended strings."""
    with open(module, "rb") as f:
        data = f.read()
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

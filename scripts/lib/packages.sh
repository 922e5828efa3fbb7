# shellcheck shell=bash
# What the scripts need of Debian, in one place, and how it gets there.
#
# Only what is missing is installed, after saying so. When nothing is missing
# nothing happens: no network, no root. A name with | is met by either side,
# and installed as the first.

# Tests are configured, if not built, whatever is built.
PACKAGES_BUILD=(
    cmake ninja-build gcc libc6-dev pkg-config
    libuv1-dev libcjson-dev libevdev-dev libyaml-dev liburing-dev libiscsi-dev
    libpixman-1-dev libpng-dev libxxhash-dev libseccomp-dev
    libcmocka-dev libumockdev-dev
)
# A guest: QEMU, and the programs that its initramfs is made of.
PACKAGES_GUEST=(
    python3 qemu-system-x86 'busybox-static|busybox' e2fsprogs fdisk
    util-linux evtest systemd
)
# What guests of config/rigs run.
PACKAGES_RIGS=(
    sqlite3 whiptail mdadm
)
# qemu-utils has qemu-storage-daemon and qemu-img, which know image locks;
# umockdev has what is loaded into vub; libdrm is what guests show pictures with;
# chromium reads reports of scenarios, with letters of fonts-dejavu-core;
# dpkg-dev, lintian and groff make and judge the package; libvirt runs what
# --print-args=libvirt prints.
PACKAGES_TEST=(
    clang libclang-rt-dev clang-tidy clang-format
    fio qemu-utils strace umockdev tgt sg3-utils libiscsi-bin
    libdrm-dev libdrm-tests chromium fonts-dejavu-core
    dpkg-dev lintian groff-base libvirt-daemon
    libvirt-daemon-driver-qemu libvirt-clients
)

# need PACKAGE...: returns when all are there; ends the script if they cannot
# be had.
need() {
    local package missing=()

    if ! command -v dpkg-query >/dev/null; then
        say "this is no Debian: these are needed, and not looked for: $*"
        return
    fi
    for package in "$@"; do
        is_installed "${package%%|*}" || is_installed "${package##*|}" ||
            missing+=("${package%%|*}")
    done
    [ ${#missing[@]} = 0 ] && return
    as_root_or_say \
        "apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
    say "installing with apt: ${missing[*]}"
    apt_get update
    apt_get install -y --no-install-recommends "${missing[@]}"
}

# need_guest_kernel CACHE [udmabuf]: Debian's kernel, as files in CACHE, and one
# that has udmabuf. Fetching takes no root, but for the lists of packages.
need_guest_kernel() {
    local tool=tests/guest/rig/kernel.py

    python3 -B $tool "$@" && return
    as_root_or_say "apt-get update"
    say "fetching lists of packages with apt"
    apt_get update
    python3 -B $tool "$@"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_get() {
    # In a container's terminal, and without one, apt must not ask.
    $SUDO env DEBIAN_FRONTEND=noninteractive apt-get -q -o Dpkg::Use-Pty=0 \
        "$@" </dev/null
}

# Sets SUDO, or prints the one line that root would have to run, and ends.
as_root_or_say() {
    SUDO=
    [ "$(id -u)" = 0 ] && return
    if command -v sudo >/dev/null; then
        # With nobody to type a password, only a sudo that asks for none.
        if [ -t 0 ] || sudo -n true 2>/dev/null; then
            SUDO=sudo
            return
        fi
    fi
    echo "Something is missing, and this is neither root nor can it sudo." >&2
    echo "Have root run this line, then start again:" >&2
    echo "    $1" >&2
    exit 1
}

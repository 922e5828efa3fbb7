# shellcheck shell=bash
# What demo and test share: where they are, how they talk, how they build.
# The caller has set -euo pipefail.

cd "$(dirname "${BASH_SOURCE[0]}")/../.."

GUEST_CACHE=build/guest
JOBS=${CMAKE_BUILD_PARALLEL_LEVEL:-$(nproc)}

say() {
    printf '%s: %s\n' "$(basename "$0")" "$*"
}

# The comment that a script begins with; $0 may be relative to where it was
# called.
about() {
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "scripts/$(basename "$0")"
}

# configure PRESET [OPTION...]
configure() {
    local preset=$1

    shift
    say "configuring $preset"
    cmake --preset "$preset" -DVUB_GUEST_CACHE="$PWD/$GUEST_CACHE" "$@" \
        >"build/$preset.log" 2>&1 || {
        cat "build/$preset.log"
        return 1
    }
}

# build PRESET [TARGET...]
build() {
    local preset=$1 target

    shift
    local targets=()
    for target in "$@"; do
        targets+=(--target "$target")
    done
    say "building $preset"
    cmake --build "build/$preset" --parallel "$JOBS" "${targets[@]}"
}

mkdir -p build
. scripts/lib/packages.sh

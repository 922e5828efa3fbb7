#!/usr/bin/env bash
# lint.sh BUILD JOBS: the form of all C files by clang-format, and what
# clang-tidy (.clang-tidy) thinks of those in src, compiled as in BUILD.
# Prints "pass WHAT" or "fail WHAT", complaints to standard error.
set -euo pipefail

build=$1
jobs=$2

result() {
    if [ "$2" = 0 ]; then
        echo "pass $1"
    else
        echo "fail $1"
    fi
}

status=0
find src tests -name '*.[ch]' -print0 |
    xargs -0 clang-format --dry-run -Werror >&2 || status=1
result "clang-format" $status

status=0
find src -name '*.c' -print0 | sort -z |
    xargs -0 -P "$jobs" -n 4 clang-tidy -p "$build" --quiet \
        2> >(grep -v ' warnings\? generated\.$' >&2) >&2 || status=1
result "clang-tidy" $status

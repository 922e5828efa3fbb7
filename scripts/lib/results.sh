# shellcheck shell=bash
# Adding up: every phase, its time, and what passed and failed in all.

PASSED=0
FAILED=0
FAILURES=()
SKIPS=()
STARTED=$SECONDS

# phase TITLE FUNCTION [ARGUMENT...]: a function that fails, instead of
# counting failures itself, counts as one failure.
phase() {
    local title=$1 began=$SECONDS

    shift
    echo
    say "=== $title ==="
    if ! "$@"; then
        failure "$title: could not be run to its end"
    fi
    say "=== $title: $((SECONDS - began)) s ==="
}

failure() {
    FAILED=$((FAILED + 1))
    FAILURES+=("$1")
}

# count_ctest NAME JUNIT_FILE: one testcase a line; anything but "run" (it
# passed) is a failure: "fail", and also "notrun" and "disabled". One that
# passed may say that it has left something out: that is a failure too, unless
# scripts/lib/skips has it; then it is told at the end.
count_ctest() {
    local line test status what

    [ -s "$2" ] || {
        failure "$1: ctest left no results"
        return
    }
    while read -r line; do
        test=${line#*name=\"}
        test=${test%%\"*}
        status=${line#*status=\"}
        status=${status%%\"*}
        if [ "$status" = run ]; then
            PASSED=$((PASSED + 1))
        else
            failure "$1: $test ($status)"
        fi
    done < <(grep '<testcase ' "$2")
    while read -r what; do
        if may_skip "$1" "$what"; then
            SKIPS+=("$1: $what")
        else
            failure "$1: $what (left out)"
        fi
    done < <(sed -n 's/.*\[  SKIPPED \] //p' "$2" |
        grep -v '^[0-9]* test(s), listed below:' | sort -u)
}

# A container may have a device and forbid it, which test -w does not see.
can_open() {
    [ -e "$1" ] && (: <>"$1") 2>/dev/null
}

# By its number, for Python has no name of it. What it says to a file that is
# none, nobody else says: not the kernel that has no such call, nor a container
# that forbids it.
has_cachestat() {
    python3 -c 'import ctypes, errno, sys
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall(451, -1, None, None, 0)
sys.exit(ctypes.get_errno() != errno.EBADF)'
}

# is_linux MAJOR MINOR: is it that, or newer?
is_linux() {
    printf '%s\n' "$1.$2" "$(uname -r)" | sort --check=quiet --version-sort
}

# may_skip PART WHAT: does scripts/lib/skips have it?
may_skip() {
    local part when pattern

    while read -r part when pattern; do
        # shellcheck disable=SC2053 # it is a pattern
        [[ $part = "$1" && $2 = $pattern ]] || continue
        case $when in
            always) return 0 ;;
            no-root) [ "$EUID" = 0 ] || return 0 ;;
            no-kvm) can_open /dev/kvm || return 0 ;;
            no-udmabuf) can_open /dev/udmabuf || return 0 ;;
            no-cachestat) has_cachestat || return 0 ;;
            no-table-reclaim) is_linux 6 14 || return 0 ;;
            no-x86_64) [ "$(uname -m)" = x86_64 ] || return 0 ;;
        esac
    done < <(grep -v '^#' scripts/lib/skips)
    return 1
}

# count_lines NAME FILE: lines "pass WHAT" and "fail WHAT".
count_lines() {
    local result what seen=0

    while read -r result what; do
        seen=1
        if [ "$result" = pass ]; then
            PASSED=$((PASSED + 1))
        else
            failure "$1: $what"
        fi
    done <"$2"
    [ $seen = 1 ] || failure "$1: nothing was run"
}

# count_one NAME COMMAND...
count_one() {
    local name=$1

    shift
    if "$@"; then
        PASSED=$((PASSED + 1))
    else
        failure "$name"
    fi
}

finish() {
    local one

    echo
    say "took $((SECONDS - STARTED)) s"
    for one in "${SKIPS[@]}"; do
        say "left out, as it may be: $one"
    done
    for one in "${FAILURES[@]}"; do
        say "FAILED: $one"
    done
    echo "$PASSED passed, $FAILED failed"
    [ $FAILED = 0 ]
}

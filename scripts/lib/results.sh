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
# passed) is a failure: "fail", and also "notrun" and "disabled". A group of
# cmocka that passed may have left out what the system cannot do, like an
# io_uring where a container forbids it: that is told at the end.
count_ctest() {
    local line test status

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
    while read -r line; do
        SKIPS+=("$1: ${line##*\] }")
    done < <(grep '\[  SKIPPED \] .*[a-z]$' "$2" | sort -u)
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
        say "left out, it says why: $one"
    done
    for one in "${FAILURES[@]}"; do
        say "FAILED: $one"
    done
    echo "$PASSED passed, $FAILED failed"
    [ $FAILED = 0 ]
}

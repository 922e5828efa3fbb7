#!/usr/bin/env bash
# fuzz.sh DIRECTORY SECONDS JOBS: runs each fuzz target of DIRECTORY for so
# long, JOBS at a time, from the seeds in tests/fuzz/corpus/NAME. What it
# finds stays beside the program. Prints "pass NAME" or "fail NAME" to its
# output, progress and the end of a failed target's log to standard error.
set -euo pipefail

# fuzz_one PROGRAM SECONDS
fuzz_one() {
    local program=$1 seconds=$2 name found seeds log

    name=$(basename "$program")
    name=${name#fuzz_}
    name=${name%_fuzz}
    found=$program.corpus
    log=$program.log
    seeds=tests/fuzz/corpus/$name
    mkdir -p "$found"
    echo "fuzz: $name for $seconds s" >&2
    # libFuzzer bounds itself; timeout is for a target that hangs.
    if timeout -k 10 $((seconds + 60)) "$program" "$found" \
        $([ -d "$seeds" ] && echo "$seeds") \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="$program-" -print_final_stats=1 \
        >"$log" 2>&1; then
        echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' \
            "$log") runs" >&2
        echo "pass $name"
    else
        tail -n 40 "$log" >&2
        echo "fail $name"
    fi
}

if [ "$1" = --one ]; then
    fuzz_one "$2" "$3"
    exit
fi
find "$1" -maxdepth 1 -type f -executable | sort |
    xargs -r -P "$3" -I {} "$0" --one {} "$2"

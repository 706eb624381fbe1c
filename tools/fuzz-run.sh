#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# fuzz-run.sh DIR SECONDS TARGET...: runs each fuzz target of DIR for SECONDS
# on its corpus and ends with one table.  New inputs go to a scratch corpus
# beside the program, which later runs go on from; inputs that crash stay in
# DIR/crashes.  Status 1 when there was a crash.

dir=$1
seconds=$2
shift 2

crashes_total=0
table=
for target; do
    log=$dir/$target.log
    grown=$dir/$target.corpus
    found=$dir/crashes/$target
    seeds=fuzz/corpus/$target
    mkdir -p "$grown" "$found"
    [ -d "$seeds" ] || seeds=
    dict=
    [ -f "fuzz/$target.dict" ] && dict=-dict=fuzz/$target.dict

    echo "fuzz $target, $seconds s"
    # Leaks of long loops are looked for by "make asan"; a target may hold
    # 2 GiB and take 10 s for one input.
    # shellcheck disable=SC2086
    "$dir/$target" -max_total_time="$seconds" -timeout=10 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$found/" \
        $dict "$grown" $seeds > "$log" 2>&1
    status=$?

    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    crashes=$(grep -c 'Test unit written to' "$log")
    if [ "$status" -ne 0 ] && [ "$crashes" -eq 0 ]; then
        crashes=1
    fi
    if [ "$crashes" -ne 0 ]; then
        tail -n 40 "$log"
    fi
    crashes_total=$((crashes_total + crashes))
    table="$table$(printf '%-20s %12s %10s %8s %8s' "$target" "${runs:--}" \
        "${rate:--}" "$(awk "BEGIN { printf \"%.1f\", $seconds / 60 }")" \
        "$crashes")
"
done

printf '\n%-20s %12s %10s %8s %8s\n' target executions exec/s minutes crashes
printf '%s' "$table"
[ "$crashes_total" -eq 0 ]

#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# gen-docs.sh DIR: writes every generated page below DIR, which "make docs"
# sets to the tree itself and t/00-docs.t to a scratch directory.  Runs in the
# top of the tree; needs a built tree.

set -eu

dir=$1
objdir=${SPOOR_OBJDIR:-objs}
spoor=${SPOOR_BIN:-$objdir/spoor}
print_docs=$objdir/t/helper/print_docs

mkdir -p "$dir/conf" "$dir/docs" "$dir/man"

# A page that cannot be made must not leave half a page behind.
page() {
    file=$dir/$1
    shift
    "$@" > "$file.new"
    mv -f "$file.new" "$file"
}

fault_points() {
    cat <<'END'
# Fault points

<!-- Generated from the fault() calls of src/ by `make docs`; do not edit. -->

Places where a test can kill or stop a process or make a call fail, armed
with the environment variable `SPOOR_FAULT` (see `src/core/fault.h`), as in
`SPOOR_FAULT=wal.after_pwritev:kill:3`. They cost one predictable branch when
nothing is armed. The points `sys.KIND` stand before every call of that kind
(see `src/core/sys.h`); they can also be counted (`SPOOR_SYS_COUNT`).

| point | where |
|---|---|
END
    grep -EHo '(fault|fails|visit)\("[a-z_.0-9]*"' src/*/*.c |
        sed 's/^\([^:]*\):[a-z]*("\(.*\)"$/| `\2` | `\1` |/' | sort -u
}

checklist() {
    perl -It/lib -MTest::Checklist -e 'binmode STDOUT, ":utf8";
        print checklist_page(checklist("t/data/checklist"))'
}

page conf/spoor.full.yaml "$spoor" -print-sample
page docs/configuration.md "$spoor" -print-reference
page docs/flags.md "$spoor" -print-flags
page man/spoor.yaml.5 "$spoor" -print-man spoor.yaml.5
page man/spoor.8 "$spoor" -print-man spoor.8
page man/spoorctl.1 "$print_docs" spoorctl
page man/spoor-logsql.7 "$print_docs" spoor-logsql
page docs/logsql-reference.md "$print_docs" logsql
page docs/logsql-checklist.md checklist
page docs/http-api.md "$print_docs" routes
page docs/metrics.md "$print_docs" metrics
page docs/fault-points.md fault_points

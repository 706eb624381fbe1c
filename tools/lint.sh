#!/bin/sh
# SPDX-License-Identifier: BSD-2-Clause
#
# lint.sh FILE...: what the compilers do not say.  Formatting is reported for
# the C files given; on lines that changed since the last commit (or since
# LINT_BASE) it is a failure, as are mistakes in manual pages and in shell.

status=0

if command -v clang-format > /dev/null 2>&1; then
    differing=0
    for file; do
        clang-format "$file" | cmp -s - "$file" || differing=$((differing + 1))
    done
    echo "clang-format: $differing of $# files differ from .clang-format"
    if command -v git-clang-format > /dev/null 2>&1 &&
        git rev-parse -q --verify "${LINT_BASE:-HEAD}" > /dev/null 2>&1; then
        changed=$(git clang-format -q --diff "${LINT_BASE:-HEAD}" -- "$@" \
            2> /dev/null)
        case $changed in
        ''|*"no modified files"*|*"did not modify"*) ;;
        *)
            echo "clang-format would change changed lines:"
            echo "$changed"
            [ -z "$LINT_BASE" ] || status=1
            ;;
        esac
    fi
else
    echo "clang-format is not installed, formatting is not checked"
fi

for page in man/*.[1-8]; do
    [ -f "$page" ] || continue
    mandoc -Tlint -W warning "$page" || status=1
done

for script in configure auto/* tools/*.sh t/run .ci/run; do
    sh -n "$script" || status=1
done

for script in t/*.t t/*/*.t t/lib/Test/*.pm; do
    [ -f "$script" ] || continue
    perl -It/lib -wc "$script" 2>&1 | grep -v 'syntax OK' && status=1
done

[ "$status" -eq 0 ] && echo "lint: fine"
exit "$status"

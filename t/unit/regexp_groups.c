/* SPDX-License-Identifier: BSD-2-Clause */

/* Matches one after the other, and their groups. */

#include "core/base.h"

#include "core/sb.h"
#include "query/regexp.h"
#include "query/regexp_syntax.h"

#include "tap.h"

static struct pool *pool;

/* Matches as "[whole|1|2]"; a group that took no part is "-". */
static void
gives(const char *source, struct sv value, const char *want)
{
    struct sv groups[REGEXP_GROUPS_MAX + 1];
    struct regexp_subject subject;
    struct regexp *regexp;
    struct err err = ERR_INIT;
    struct sb sb;
    int found;

    sb_init(&sb, MIB);
    if (regexp_compile(&regexp, sv_from(source), REGEXP_CAPTURES, pool,
            &err) != 0 || regexp_subject_open(&subject, value, &err) != 0) {
        ok(false, "%s: %s", source, err.text);
        return;
    }
    while ((found = regexp_next(regexp, &subject, groups, &err)) > 0) {
        for (uint32_t i = 0; i < regexp_ngroups(regexp); i++) {
            sb_add_char(&sb, i == 0 ? '[' : '|');
            sb_add_sv(&sb, groups[i].ptr == NULL ? SV("-") : groups[i]);
        }
        sb_add_char(&sb, ']');
    }
    regexp_subject_close(&subject);
    is_int(found, 0, "%s: no error", source);
    is_str(sb.ptr, want, "%s", source);
    sb_release(&sb);
}

static void
test_matches(void)
{
    gives("a", SV("banana"), "[a][a][a]");
    gives("a", SV("xyz"), "");
    gives("(a)(n)?", SV("banana"), "[an|a|n][an|a|n][a|a|-]");
    gives("x*", SV("axb"), "[][x][]");
    gives("x*", SV("xx"), "[xx]");
    gives("", SV("ab"), "[][][]");
    gives("^", SV("ab"), "[]");
    gives("$", SV("ab"), "[]");
    gives("(?m)^.", SV("a\nb"), "[a][b]");
    gives("\\bb", SV("ab b"), "[b]");
    gives(".*", SV("ab"), "[ab]");
    gives("(?P<x>a)|(?<y>b)", SV("ab"), "[a|a|-][b|-|b]");
    gives("(?:a)(b(c))", SV("abc"), "[abc|bc|c]");
    gives("(?i)(STRA\xc3\x9f" "E)", SV("stra\xc3\x9f" "e"),
        "[stra\xc3\x9f" "e|stra\xc3\x9f" "e]");
    gives("", SV(""), "[]");
    gives("\xc3\xa4?", SV("\xc3\xa4" "b"), "[\xc3\xa4][]");
    /* Bytes that are not UTF-8 are one character each, and stay. */
    gives("(.)b", SV("\xff" "b\xfe" "b"), "[\xff" "b|\xff][\xfe" "b|\xfe]");
    gives("", SV("\xff\xc3\xa4\xff"), "[][][][]");
    gives("(\xc3\xa4)$", SV("\xff\xff\xc3\xa4"), "[\xc3\xa4|\xc3\xa4]");
}

static void
test_names(void)
{
    struct regexp *regexp;
    struct err err = ERR_INIT;
    struct sb many;

    is_int(regexp_compile(&regexp, SV("(a)(?P<first>b)(?:c)(?<x_2>d)"),
        REGEXP_CAPTURES, pool, &err), 0, "named groups");
    is_int(regexp_ngroups(regexp), 4, "three, and the whole");
    ok(sv_eq(regexp_group_name(regexp, 1), SV_EMPTY), "has no name");
    ok(sv_eq(regexp_group_name(regexp, 2), SV("first")), "(?P<first>");
    ok(sv_eq(regexp_group_name(regexp, 3), SV("x_2")), "(?<x_2>");
    is_int(regexp_compile(&regexp, SV("(a)(b)"), 0, pool, &err), 0,
        "without captures");
    is_int(regexp_ngroups(regexp), 1, "no group");
    sb_init(&many, MIB);
    for (unsigned i = 0; i <= REGEXP_GROUPS_MAX; i++)
        sb_add_str(&many, "(a)");
    ok(regexp_compile(&regexp, sb_sv(&many), REGEXP_CAPTURES, pool,
        &err) != 0, "too many groups: %s", err.text);
    is_int(regexp_compile(&regexp, sb_sv(&many), 0, pool, &err), 0,
        "... which are fine when nobody asks");
    many.len -= 3;
    gives(many.ptr + 3, SV("aa"), "");
    sb_release(&many);
}

int
main(void)
{
    pool = pool_new(64 * MIB);
    test_matches();
    test_names();
    pool_free(pool);
    return tap_done();
}

/* SPDX-License-Identifier: BSD-2-Clause */

/* Where the cursor of the shell stands (cli/complete.h). */

#include "core/base.h"
#include "cli/complete.h"

#include "tap.h"

static void
is_place(const char *line, enum complete_kind kind, const char *word,
    const char *field)
{
    struct complete_place place;
    char got[200];

    complete_find(&place, sv_from(line));
    is_int(place.kind, kind, "%s: kind", line);
    snprintf(got, sizeof(got), "%.*s", SV_ARG(place.word));
    is_str(got, word, "%s: word", line);
    snprintf(got, sizeof(got), "%.*s", SV_ARG(place.field));
    is_str(got, field, "%s: field", line);
    ok(place.start <= strlen(line), "%s: within the line", line);
}

int
main(void)
{
    is_place("", COMPLETE_FIELD, "", "");
    is_place("dur", COMPLETE_FIELD, "dur", "");
    is_place("\"resource_attr:se", COMPLETE_FIELD, "resource_attr:se", "");
    is_place("kind:=2 (na", COMPLETE_FIELD, "na", "");
    is_place("name:", COMPLETE_VALUE, "", "name");
    is_place("name:=GE", COMPLETE_VALUE, "GE", "name");
    is_place("not name:=\"GET /c", COMPLETE_VALUE, "GET /c", "name");
    is_place("\"resource_attr:service.name\":=fr", COMPLETE_VALUE, "fr",
        "resource_attr:service.name");
    is_place("{resource_attr:ser", COMPLETE_NAME, "resource_attr:ser", "");
    is_place("* | ", COMPLETE_PIPE, "", "");
    is_place("* | sta", COMPLETE_PIPE, "sta", "");
    is_place("* |sta", COMPLETE_PIPE, "sta", "");
    is_place("* | stats ", COMPLETE_FUNCTION, "", "");
    is_place("* | stats by (ki", COMPLETE_NAME, "ki", "");
    is_place("* | fields a, span_attr:ht", COMPLETE_NAME, "span_attr:ht", "");
    is_place("* | filter kind:=", COMPLETE_VALUE, "", "kind");
    is_place("* | where ki", COMPLETE_FIELD, "ki", "");
    is_place("name:\"a | b\" du", COMPLETE_FIELD, "du", "");
    is_place("name:'it\\'s |", COMPLETE_VALUE, "it\\'s |", "name");
    is_place("\\ti", COMPLETE_COMMAND, "\\ti", "");
    is_place("\\tail kin", COMPLETE_FIELD, "kin", "");
    return tap_done();
}

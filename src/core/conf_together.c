/* SPDX-License-Identifier: BSD-2-Clause */

/* What directives must not say together. */

#include "core/base.h"

#include "core/conf_load.h"
#include "core/log.h"

/* Rows of numbers of which at most one may be set (not 0). */
static const enum conf_row_id exclusive[][2] = {
    {CONF_ROW_retention_bytes, CONF_ROW_retention_percent},
};

static bool
is_set(const struct conf *conf, enum conf_row_id id)
{
    const uint64_t *value = (const uint64_t *)(const void *)
        ((const char *)conf + conf_rows[id].offset);

    return *value != 0;
}

/* Texts that the log must be able to read. */
static void
check_log(struct conf_loader *loader, struct sv file)
{
    const struct conf *conf = loader->conf;
    const struct {
        enum conf_row_id id;
        int (*check)(const char *text, struct err *err);
        const char *text;
    } texts[] = {
        {CONF_ROW_log_timezone, log_check_timezone, conf->log_timezone},
        {CONF_ROW_log_json_fields, log_check_json_fields,
            conf->log_json_fields},
    };

    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        const struct conf_origin *origin = &conf->origins->v[texts[i].id];
        bool is_in_file = origin->mark.line != 0;
        struct err err = ERR_INIT;

        if (texts[i].check(texts[i].text, &err) == 0)
            continue;
        conf_report_source(&loader->report, is_in_file ? conf->file :
            origin->where, is_in_file ? file : sv_make(NULL, 0));
        conf_report_error(&loader->report,
            is_in_file ? &origin->mark : NULL, "\"%s\": %s",
            conf_rows[texts[i].id].yaml, err.text);
    }
}

void
conf_check_together(struct conf_loader *loader, struct sv file)
{
    const struct conf *conf = loader->conf;

    check_log(loader, file);
    for (size_t i = 0; i < ARRAY_LEN(exclusive); i++) {
        enum conf_row_id a = exclusive[i][0], b = exclusive[i][1];
        const struct conf_origin *origin = &conf->origins->v[b];
        const struct conf_origin *other = &conf->origins->v[a];
        bool is_in_file;

        if (!is_set(conf, a) || !is_set(conf, b))
            continue;
        /* The one that was said later is the one to complain about. */
        if (other->layer > origin->layer || (other->layer == origin->layer &&
            other->mark.line > origin->mark.line)) {
            const struct conf_origin *swap = origin;
            enum conf_row_id id = a;

            origin = other;
            other = swap;
            a = b;
            b = id;
        }
        is_in_file = origin->mark.line != 0;
        conf_report_source(&loader->report, is_in_file ? conf->file :
            origin->where, is_in_file ? file : sv_make(NULL, 0));
        conf_report_error(&loader->report,
            is_in_file ? &origin->mark : NULL,
            "\"%s\" excludes \"%s\" (%s)", conf_rows[b].yaml,
            conf_rows[a].yaml, other->where);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Kinds of directives: how a text becomes a value, and how a value is shown.
 */

#ifndef SPOOR_CORE_CONF_TYPE_H
#define SPOOR_CORE_CONF_TYPE_H

#include "core/base.h"
#include "core/conf_table.h"
#include "core/err.h"
#include "core/pool.h"
#include "core/sb.h"
#include "core/sv.h"

#define CONF_LIST_MAX 1000u             /* items of one list */
#define CONF_VALUE_BYTES_MAX (4 * KIB)  /* PATH_MAX; others need less */
/* What stands for a secret wherever values are shown. */
#define CONF_SECRET_MASK "secret"

/*
 * Checks text against the row and stores the value at member, which is the
 * row's C type.  Strings are borrowed from text, which has a NUL behind it
 * and lives as long as the value.  On -1 err->text continues a sentence that
 * begins with the name: 'must be 0..256, not "999"' (never with a secret).
 * Not for lists.
 */
int conf_type_parse(const struct conf_row *row, struct sv text,
    void *member, struct err *err) WARN_UNUSED;

/*
 * The same for one item of a list, which becomes the text it is known by
 * ("true" for "yes"), in pool.
 */
int conf_type_item(const struct conf_row *row, struct pool *pool,
    struct sv *text, struct err *err) WARN_UNUSED;

/*
 * Cuts the next item off *rest, as VictoriaMetrics' array flags do: commas
 * separate, but not within quotes ("a,b" or 'a,b', which are removed) or
 * within {} [] ().  False when *rest is used up.  item is in pool; its ptr
 * is NULL when the pool is full.
 */
bool conf_type_split(struct sv *rest, struct pool *pool, struct sv *item);

/* text, or the mask where a secret is set: what people may see. */
struct sv conf_type_shown(enum conf_kind kind, struct sv text);

/* Appends text so that YAML reads it as one scalar with the same text. */
void conf_type_print_yaml(struct sb *out, struct sv text);

/* True if the two values at a and b are the same. */
bool conf_type_equal(enum conf_kind kind, const void *a, const void *b);

#endif

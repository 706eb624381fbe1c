/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * What one ingest request asks to be done with its spans (VT-* headers and
 * query arguments): four lists of flat field names, as the text view spells
 * them.
 *
 *   stream       names that are stream labels of these spans, too
 *   ignore       fields that are not stored; "prefix*" is all that begin so
 *   decolorize   fields whose terminal escape sequences are taken out; the
 *                same patterns
 *   extra        name=value: a field that every span has, in place of all
 *                others of that name
 *
 * The canonical form is one byte string for all requests that ask for the
 * same: it is part of the request's digest and kept in the log, so that
 * replay repeats what was done.  Empty when nothing was asked.
 *
 * How flat names meet typed spans:
 *
 *   resource_attr:K scope_attr:K span_attr:K        attribute K; a map's
 *       leaves are K.a.b, and the name of a map stands for all of it
 *   event:0:event_attr:K event:event_attr:K:0       and so on for event_name,
 *   link:0:link_attr:K ...                          link_trace_id, ...
 *   name trace_state status_message scope_name scope_version     the text
 *   kind status_code flags dropped_{attributes,events,links}_count
 *       a number; ignored it is 0
 *   trace_id span_id parent_span_id, times, duration
 *       make the span what it is: ignoring them does nothing, extra is
 *       refused
 *
 * An extra field that begins with event: or link: is refused.  Any other
 * name is a bare field: it goes to scope.extra_fields, from where views show
 * it under exactly its name.
 */

#ifndef SPOOR_SPAN_PARAMS_H
#define SPOOR_SPAN_PARAMS_H

#include "core/base.h"
#include "core/err.h"
#include "core/pool.h"
#include "span/span.h"

/* Names of one list.  Each costs some 10 ns for every attribute. */
#define PARAMS_NAMES_MAX 256u
/* Of the canonical form; a request head (32 KiB) cannot say more. */
#define PARAMS_BYTES_MAX (64 * KIB)

enum params_kind {
    PARAMS_STREAM = 0,
    PARAMS_IGNORE,
    PARAMS_DECOLORIZE,
    PARAMS_EXTRA,
    PARAMS_KINDS,
};

struct param {
    struct sv name;  /* of a pattern: without its '*' */
    struct sv value; /* of an extra field */
    bool is_prefix;
};

/* Sorted by name, each once, nothing that a prefix covers. */
struct params_list {
    struct param *v;
    uint32_t n;
};

struct params {
    struct params_list lists[PARAMS_KINDS];
};

/*
 * Sets one list from the text of a header or argument: items separated by
 * commas, blanks around and empty ones ignored; of extra fields of one name
 * the last counts.  The views point into text, the array is of the pool.
 * ERR_INVALID: 400, the text says what is wrong.
 */
int params_set(struct params *params, enum params_kind kind, struct sv text,
    struct pool *pool, struct err *err) WARN_UNUSED;

/* The canonical form, in the pool. */
int params_encode(const struct params *params, struct pool *pool,
    struct sv *out, struct err *err) WARN_UNUSED;
/*
 * And back; the views point into the canonical form.  ERR_CORRUPT for bytes
 * that params_encode() does not make.
 */
int params_decode(struct params *params, struct sv canonical,
    struct pool *pool, struct err *err) WARN_UNUSED;

/*
 * Does it, to all spans that are not rejected.  Doing it twice is doing it
 * once.  ERR_LIMIT: the pool of the batch is used up.
 */
int params_apply(const struct params *params, struct batch *batch,
    struct err *err) WARN_UNUSED;

/* decode and apply; nothing to do when canonical is empty. */
int params_apply_canonical(struct sv canonical, struct batch *batch,
    struct err *err) WARN_UNUSED;

/* --- names; used by params_apply.c --- */

/* A flat name in pieces, so that none has to be put together. */
struct field_name {
    struct sv parts[3];
};

/* A pattern of the list stands for the name. */
bool params_match(const struct params_list *list,
    const struct field_name *name);
/* The entry of exactly this name, or NULL. */
const struct param *params_find(const struct params_list *list,
    const struct field_name *name);
/* Some pattern of the list may stand for a name that begins so. */
bool params_may_match(const struct params_list *list, struct sv begin);

/* Fields of a span that are no attributes, and not of events and links. */
enum params_field {
    PARAMS_NAME = 0,
    PARAMS_TRACE_STATE,
    PARAMS_STATUS_MESSAGE,
    PARAMS_SCOPE_NAME,
    PARAMS_SCOPE_VERSION,
    PARAMS_KIND, /* from here on: numbers */
    PARAMS_STATUS_CODE,
    PARAMS_FLAGS,
    PARAMS_DROPPED_ATTRS,
    PARAMS_DROPPED_EVENTS,
    PARAMS_DROPPED_LINKS,
    PARAMS_FIELDS,
};
struct sv params_field_name(enum params_field field);

#define PARAMS_RESOURCE SV("resource_attr:")
#define PARAMS_SCOPE SV("scope_attr:")
#define PARAMS_SPAN SV("span_attr:")
#define PARAMS_EVENT SV("event:")
#define PARAMS_LINK SV("link:")

#endif

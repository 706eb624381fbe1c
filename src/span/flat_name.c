/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Names of fields in queries, and streams as text.
 *
 * The bytes behind a _stream_id: varint number of labels, then per label,
 * ordered by name, varint length and bytes of its name and of its text.  The
 * first half of the hash is XXH64 of them, the second that of them and
 * "magic!" (reference victoriatraces.md 5.6).
 */

#include "core/base.h"
#include "span/flat.h"

#include "core/enc.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* --- names --- */

/* A decimal number without leading zeros. */
static bool
parse_index(struct sv text, uint32_t *index)
{
    uint64_t v = 0;

    if (text.len == 0 || text.len > 9 || (text.len > 1 && text.ptr[0] == '0'))
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
        v = 10 * v + (uint64_t)(text.ptr[i] - '0');
    }
    *index = (uint32_t)v;
    return true;
}

bool
flat_item_parse(struct sv name, struct flat_item *out)
{
    struct sv rest;
    size_t colon;

    out->is_link = sv_starts_with(name, SV("link:"));
    if (!out->is_link && !sv_starts_with(name, SV("event:")))
        return false;
    rest = sv_sub(name, out->is_link ? 5 : 6, name.len);
    colon = sv_find_byte(rest, ':');
    if (colon == rest.len ||
        !parse_index(sv_sub(rest, 0, colon), &out->index))
        return false;
    out->part = sv_sub(rest, colon + 1, rest.len);
    return true;
}

struct sv
flat_name(struct sv name, struct pool *pool)
{
    bool is_event = sv_starts_with(name, SV("event:event_"));
    size_t head = is_event ? 6 : 5;
    size_t colon = name.len;
    uint32_t index = 0;
    char *dst;

    if (name.len == 0)
        return SV("_msg");
    if (!is_event && !sv_starts_with(name, SV("link:link_")))
        return name;
    while (name.ptr[colon - 1] != ':')
        colon--;
    if (colon <= head || !parse_index(sv_sub(name, colon, name.len), &index))
        return name;
    dst = pool_alloc(pool, name.len);
    if (dst == NULL)
        return name;
    /* "event:" "event_name" ":" "0" -> "event:" "0" ":" "event_name" */
    memcpy(dst, name.ptr, head);
    memcpy(dst + head, name.ptr + colon, name.len - colon);
    dst[head + name.len - colon] = ':';
    memcpy(dst + head + name.len - colon + 1, name.ptr + head,
        colon - 1 - head);
    return sv_make(dst, name.len);
}

/* --- streams --- */

static void
quote_byte(struct sb *out, uint8_t c)
{
    static const char letters[] = "\aa\bb\ff\nn\rr\tt\vv\"\"\\\\";

    for (size_t i = 0; i + 1 < sizeof(letters); i += 2) {
        if ((char)c == letters[i]) {
            sb_add_char(out, '\\');
            sb_add_char(out, letters[i + 1]);
            return;
        }
    }
    sb_addf(out, "\\x%02x", c);
}

/* In quotes; what is not printable is escaped, so that it reads back. */
static void
quote(struct sb *out, struct sv text)
{
    const char *ptr = text.ptr;
    const char *end = text.ptr + text.len;

    sb_add_char(out, '"');
    while (ptr < end) {
        unsigned n = sv_utf8_len(ptr, end);
        uint8_t c = (uint8_t)*ptr;

        /* U+0080 to U+009f are controls, too. */
        if (n == 2 && c == 0xc2 && (uint8_t)ptr[1] < 0xa0)
            sb_addf(out, "\\u%04x", (uint8_t)ptr[1]);
        else if (n > 1 || (c >= ' ' && c < 0x7f && c != '"' && c != '\\'))
            sb_add(out, ptr, n);
        else
            quote_byte(out, c);
        ptr += n == 0 ? 1 : n;
    }
    sb_add_char(out, '"');
}

static bool
is_before(struct sv a, struct sv b)
{
    return sv_cmp(a, b) < 0;
}

/* The next name that a list declares and that is behind the last one. */
static bool
next_declared(struct sv *list, struct sv last, struct sv *name)
{
    while (text_list_next(list, name)) {
        if (is_before(last, *name) && !sv_eq(*name, SV("_stream")) &&
            !sv_eq(*name, SV("_stream_id")))
            return true;
    }
    return false;
}

uint32_t
flat_label_names(struct sv stream_fields, struct sv *names)
{
    const struct sv always[] = {FLAT_LABEL_NAME, FLAT_LABEL_SERVICE};
    struct sv name = SV_EMPTY;
    uint32_t n = 0, nalways = 0;

    while (n < FLAT_LABELS_MAX - ARRAY_LEN(always) + nalways &&
        next_declared(&stream_fields, name, &name)) {
        while (nalways < ARRAY_LEN(always) &&
            is_before(always[nalways], name))
            names[n++] = always[nalways++];
        if (nalways == ARRAY_LEN(always) || !sv_eq(always[nalways], name))
            names[n++] = name;
    }
    while (nalways < ARRAY_LEN(always))
        names[n++] = always[nalways++];
    return n;
}

void
flat_labels(struct sb *out, const struct flat_label *labels, uint32_t n)
{
    bool is_first = true;

    sb_add_char(out, '{');
    for (uint32_t i = 0; i < n; i++) {
        if (labels[i].text.len == 0)
            continue;
        if (!is_first)
            sb_add_char(out, ',');
        is_first = false;
        sb_add_sv(out, labels[i].name);
        sb_add_char(out, '=');
        quote(out, labels[i].text);
    }
    sb_add_char(out, '}');
}

static void
hash_number(XXH64_state_t *state, uint64_t number)
{
    uint8_t varint[10];

    XXH64_update(state, varint, enc_put_varint(varint, number));
}

static void
hash_text(XXH64_state_t *state, struct sv text)
{
    hash_number(state, text.len);
    if (text.len > 0)
        XXH64_update(state, text.ptr, text.len);
}

void
flat_stream(struct sb *out, struct sv service, struct sv name)
{
    const struct flat_label labels[] = {{FLAT_LABEL_NAME, name},
        {FLAT_LABEL_SERVICE, service}};

    flat_labels(out, labels, ARRAY_LEN(labels));
}

void
flat_labels_id(char dst[FLAT_STREAM_ID_LEN], const struct tenant *tenant,
    const struct flat_label *labels, uint32_t n)
{
    XXH64_state_t state;
    uint32_t count = 0;
    unsigned long long high, low;
    char text[FLAT_STREAM_ID_LEN + 1];

    for (uint32_t i = 0; i < n; i++)
        count += labels[i].text.len > 0;
    XXH64_reset(&state, 0);
    hash_number(&state, count);
    for (uint32_t i = 0; i < n; i++) {
        if (labels[i].text.len == 0)
            continue;
        hash_text(&state, labels[i].name);
        hash_text(&state, labels[i].text);
    }
    high = XXH64_digest(&state);
    XXH64_update(&state, "magic!", 6);
    low = XXH64_digest(&state);
    snprintf(text, sizeof(text), "%08x%08x%016llx%016llx", tenant->account,
        tenant->project, high, low);
    memcpy(dst, text, FLAT_STREAM_ID_LEN);
}

void
flat_stream_id(char dst[FLAT_STREAM_ID_LEN], const struct tenant *tenant,
    struct sv service, struct sv name)
{
    const struct flat_label labels[] = {{FLAT_LABEL_NAME, name},
        {FLAT_LABEL_SERVICE, service}};

    flat_labels_id(dst, tenant, labels, ARRAY_LEN(labels));
}

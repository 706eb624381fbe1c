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

#define SERVICE_LABEL "resource_attr:service.name"
#define NAME_LABEL "name"

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

void
flat_stream(struct sb *out, struct sv service, struct sv name)
{
    sb_add_char(out, '{');
    if (name.len > 0) {
        sb_add_str(out, NAME_LABEL "=");
        quote(out, name);
    }
    if (service.len > 0) {
        if (name.len > 0)
            sb_add_char(out, ',');
        sb_add_str(out, SERVICE_LABEL "=");
        quote(out, service);
    }
    sb_add_char(out, '}');
}

static void
hash_text(XXH64_state_t *state, struct sv text)
{
    uint8_t varint[10];

    XXH64_update(state, varint, enc_put_varint(varint, text.len));
    if (text.len > 0)
        XXH64_update(state, text.ptr, text.len);
}

void
flat_stream_id(char dst[FLAT_STREAM_ID_LEN], const struct tenant *tenant,
    struct sv service, struct sv name)
{
    XXH64_state_t state;
    uint8_t count = (uint8_t)((name.len > 0) + (service.len > 0));
    unsigned long long high, low;
    char text[FLAT_STREAM_ID_LEN + 1];

    XXH64_reset(&state, 0);
    XXH64_update(&state, &count, 1);
    if (name.len > 0) {
        hash_text(&state, SV(NAME_LABEL));
        hash_text(&state, name);
    }
    if (service.len > 0) {
        hash_text(&state, SV(SERVICE_LABEL));
        hash_text(&state, service);
    }
    high = XXH64_digest(&state);
    XXH64_update(&state, "magic!", 6);
    low = XXH64_digest(&state);
    snprintf(text, sizeof(text), "%08x%08x%016llx%016llx", tenant->account,
        tenant->project, high, low);
    memcpy(dst, text, FLAT_STREAM_ID_LEN);
}

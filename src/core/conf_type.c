/* SPDX-License-Identifier: BSD-2-Clause */

/* Kinds of directives.  Numbers, sizes and times are parsed by num, timefmt. */

#include "core/base.h"

#include "core/conf_type.h"
#include "core/network.h"
#include "core/num.h"
#include "core/timefmt.h"

/* As much of a wrong value as a message shows. */
#define SHOWN_MAX 80

#define SHOW(text) (int)MIN((text).len, (size_t)SHOWN_MAX), (text).ptr

/* What a numeric kind looks like, for "must be a size such as 64MiB". */
static const char *
kind_example(enum conf_kind kind)
{
    switch (kind) {
    case CONF_KIND_UINT:
        return "a number";
    case CONF_KIND_SIZE:
        return "a size such as 64MiB";
    case CONF_KIND_DURATION:
        return "a duration such as 500ms, 10s or 1m30s";
    case CONF_KIND_RETENTION:
        return "a duration such as 7d, 4w or 1y, or a number of months";
    default:
        return "a value";
    }
}

/* Numbers, sizes and times as one ordered type: none passes INT64_MAX. */
static bool
parse_scalar(enum conf_kind kind, struct sv text, int64_t *out)
{
    uint64_t u;

    switch (kind) {
    case CONF_KIND_UINT:
        if (!num_parse_u64(text, &u) || u > INT64_MAX)
            return false;
        *out = (int64_t)u;
        return true;
    case CONF_KIND_SIZE:
        if (!num_parse_size(text, &u) || u > INT64_MAX)
            return false;
        *out = (int64_t)u;
        return true;
    case CONF_KIND_DURATION:
        if (sv_eq(text, SV("0"))) {
            *out = 0;
            return true;
        }
        return time_parse_duration(text, out);
    case CONF_KIND_RETENTION:
        return time_parse_retention(text, out);
    default:
        return false;
    }
}

/* Tells "999999999999999999999" (out of range) from "many" (no number). */
static bool
is_digits(struct sv text)
{
    if (text.len > 0 && text.ptr[0] == '-')
        text = sv_sub(text, 1, text.len);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9')
            return false;
    }
    return text.len > 0;
}

static int
fail_range(const struct conf_row *row, struct sv text, struct err *err)
{
    if (row->min != NULL && row->max != NULL)
        return err_set(err, ERR_INVALID, "must be %s..%s, not \"%.*s\"",
            row->min, row->max, SHOW(text));
    if (row->min != NULL)
        return err_set(err, ERR_INVALID, "must be at least %s, not \"%.*s\"",
            row->min, SHOW(text));
    return err_set(err, ERR_INVALID, "must be at most %s, not \"%.*s\"",
        row->max != NULL ? row->max : "8EiB", SHOW(text));
}

static int
parse_number(const struct conf_row *row, struct sv text, void *member,
    struct err *err)
{
    int64_t value, bound;

    if (!parse_scalar(row->kind, text, &value)) {
        if (row->kind == CONF_KIND_UINT && is_digits(text))
            return fail_range(row, text, err);
        return err_set(err, ERR_INVALID, "must be %s, not \"%.*s\"",
            kind_example(row->kind), SHOW(text));
    }
    if (row->min != NULL &&
        parse_scalar(row->kind, sv_from(row->min), &bound) && value < bound)
        return fail_range(row, text, err);
    if (row->max != NULL &&
        parse_scalar(row->kind, sv_from(row->max), &bound) && value > bound)
        return fail_range(row, text, err);
    if (value < 0)
        return err_set(err, ERR_INVALID,
            "must not be negative, but is \"%.*s\"", SHOW(text));

    if (row->kind == CONF_KIND_UINT || row->kind == CONF_KIND_SIZE)
        *(uint64_t *)member = (uint64_t)value;
    else
        *(int64_t *)member = value;
    return 0;
}

static int
parse_bool(struct sv text, bool *member, struct err *err)
{
    static const char *const yes[] = {"true", "yes", "on", "1", "t"};
    static const char *const no[] = {"false", "no", "off", "0", "f"};

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (sv_eq_nocase(text, sv_from(yes[i]))) {
            *member = true;
            return 0;
        }
        if (sv_eq_nocase(text, sv_from(no[i]))) {
            *member = false;
            return 0;
        }
    }
    return err_set(err, ERR_INVALID, "must be true or false, not \"%.*s\"",
        SHOW(text));
}

static int
parse_enum(const struct conf_row *row, struct sv text, unsigned *member,
    struct err *err)
{
    struct sv rest = sv_from(row->choices);
    struct sv choice;
    struct sb names;

    for (unsigned i = 0; sv_split(&rest, '|', &choice); i++) {
        if (sv_eq_nocase(choice, text)) {
            *member = i;
            return 0;
        }
    }
    sb_init(&names, 256);
    conf_choices_print(&names, row->choices);
    err_set(err, ERR_INVALID, "must be %s, not \"%.*s\"", names.ptr,
        SHOW(text));
    sb_release(&names);
    return -1;
}

static int
parse_string(const struct conf_row *row, struct sv text,
    const char **member, struct err *err)
{
    if (text.len > CONF_VALUE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, "must not be longer than %zu bytes",
            CONF_VALUE_BYTES_MAX);
    if (row->kind == CONF_KIND_PATH && text.len == 0 && row->def[0] != '\0')
        return err_set(err, ERR_INVALID, "must not be empty");
    *member = text.ptr;
    return 0;
}

int
conf_type_parse(const struct conf_row *row, struct sv text, void *member,
    struct err *err)
{
    switch (row->kind) {
    case CONF_KIND_BOOL:
        return parse_bool(text, member, err);
    case CONF_KIND_UINT:
    case CONF_KIND_SIZE:
    case CONF_KIND_DURATION:
    case CONF_KIND_RETENTION:
        return parse_number(row, text, member, err);
    case CONF_KIND_ENUM:
        return parse_enum(row, text, member, err);
    case CONF_KIND_STRING:
    case CONF_KIND_PATH:
    case CONF_KIND_SECRET:
        return parse_string(row, text, member, err);
    default:
        return err_set(err, ERR_INVALID, "is a list");
    }
}

/* "host:port", ":port", "*:port", "[::1]:port", port 0..65535; "unix:/path". */
static bool
is_listen_address(struct sv text)
{
    struct sv port;
    uint64_t number;
    size_t colon = text.len;

    if (sv_starts_with(text, SV("unix:/")))
        return text.len > sizeof("unix:/") - 1;
    while (colon > 0 && text.ptr[colon - 1] != ':')
        colon--;
    if (colon == 0)
        return false;
    port = sv_sub(text, colon, text.len);
    if (!is_digits(port) || !num_parse_u64(port, &number) || number > 65535)
        return false;
    text.len = colon - 1;
    if (text.len > 0 && text.ptr[0] == '[')
        return text.len > 2 && text.ptr[text.len - 1] == ']';
    return sv_find_byte(text, ':') == text.len &&
        sv_find_byte(text, '/') == text.len &&
        sv_find_byte(text, ' ') == text.len;
}

/* The choice that text is, in pool. */
static int
item_choice(const struct conf_row *row, struct pool *pool, struct sv *text,
    struct err *err)
{
    struct sv rest = sv_from(row->choices);
    struct sv choice;
    unsigned index;

    if (sv_eq_nocase(*text, SV("TLS10")) || sv_eq_nocase(*text, SV("TLS11")))
        return err_set(err, ERR_INVALID, "must be TLS12 or TLS13: \"%.*s\" is "
            "broken and forbidden (RFC 8996)", SHOW(*text));
    if (parse_enum(row, *text, &index, err) != 0)
        return -1;
    for (unsigned i = 0; i <= index; i++)
        (void)sv_split(&rest, '|', &choice);
    *text = sv_make(pool_dup(pool, choice.ptr, choice.len), choice.len);
    return text->ptr == NULL ? err_set(err, ERR_LIMIT, "is too large") : 0;
}

static int
item_bool(struct sv *text, struct err *err)
{
    bool is_true;

    if (parse_bool(*text, &is_true, err) != 0)
        return -1;
    *text = is_true ? SV("true") : SV("false");
    return 0;
}

/* "a;b" of which each must be a choice. */
static int
item_words(const struct conf_row *row, struct sv text, struct err *err)
{
    unsigned which = conf_row_index(row);
    struct network network;
    struct sv word, rest = text;
    unsigned index;

    while ((which == CONF_ROW_http_proxy_from ||
        which == CONF_ROW_grpc_proxy_from) && sv_split(&rest, ';', &word))
        if (!network_parse(word, &network))
            return err_set(err, ERR_INVALID,
                "must be an address or a network as 10.0.0.0/8, not "
                "\"%.*s\"", SHOW(word));
    while (row->choices != NULL && sv_split(&text, ';', &word)) {
        if (parse_enum(row, word, &index, err) != 0)
            return -1;
    }
    return 0;
}

int
conf_type_item(const struct conf_row *row, struct pool *pool,
    struct sv *text, struct err *err)
{
    unsigned index = conf_row_index(row);

    if (text->len > CONF_VALUE_BYTES_MAX)
        return err_set(err, ERR_LIMIT,
            "has an item that is longer than %zu bytes", CONF_VALUE_BYTES_MAX);
    if ((index == CONF_ROW_http_listen ||
            index == CONF_ROW_otlp_grpc_listen) && !is_listen_address(*text))
        return err_set(err, ERR_INVALID,
            "must be host:port, :port, [address]:port, *:port or "
            "unix:/path, not \"%.*s\"",
            SHOW(*text));
    if (text->len == 0)
        return 0;
    switch (row->kind) {
    case CONF_KIND_BOOLS:
        return item_bool(text, err);
    case CONF_KIND_ENUMS:
        return item_choice(row, pool, text, err);
    case CONF_KIND_WORDS:
        return item_words(row, *text, err);
    default:
        return 0;
    }
}

/* Length of the item at the start of text, up to its comma. */
static size_t
item_len(struct sv text)
{
    unsigned depth = 0;
    char quote = '\0';
    size_t i;

    for (i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (quote != '\0') {
            if (c == '\\')
                i++;
            else if (c == quote)
                quote = '\0';
        } else if ((c == '"' || c == '\'') && i == 0) {
            quote = c;
        } else if (c == '{' || c == '[' || c == '(') {
            depth++;
        } else if ((c == '}' || c == ']' || c == ')') && depth > 0) {
            depth--;
        } else if (c == ',' && depth == 0) {
            return i;
        }
    }
    return text.len;
}

/* Removes quotes and backslashes in place. */
static size_t
unquote(char *ptr, size_t len)
{
    size_t to = 0;
    char quote = ptr[0];

    if (len < 2 || (quote != '"' && quote != '\'') || ptr[len - 1] != quote)
        return len;
    for (size_t from = 1; from < len - 1; from++) {
        if (ptr[from] == '\\' && from + 1 < len - 1 &&
            (ptr[from + 1] == quote || ptr[from + 1] == '\\'))
            from++;
        ptr[to++] = ptr[from];
    }
    ptr[to] = '\0';
    return to;
}

bool
conf_type_split(struct sv *rest, struct pool *pool, struct sv *item)
{
    struct sv part;
    char *copy;

    if (rest->len == 0)
        return false;
    part = sv_sub(*rest, 0, item_len(*rest));
    *rest = sv_sub(*rest, part.len + 1, rest->len);
    part = sv_trim(part);
    copy = pool_dup(pool, part.ptr, part.len);
    *item = sv_make(copy, copy == NULL ? 0 : unquote(copy, part.len));
    return true;
}

struct sv
conf_type_shown(enum conf_kind kind, struct sv text)
{
    return conf_kind_is_secret(kind) && text.len > 0 ? SV(CONF_SECRET_MASK)
                                                    : text;
}

/* Words that some YAML reader takes for something else than text. */
static bool
is_plain_yaml(struct sv text)
{
    static const char *const words[] = {
        "true", "false", "yes", "no", "on", "off", "y", "n", "null",
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (sv_eq_nocase(text, sv_from(words[i])))
            return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool is_other = (c >= '0' && c <= '9') || c == '_' || c == '.' ||
            c == '/' || c == '-';

        if (!is_letter && (!is_other || (i == 0 && c != '/')))
            return false;
    }
    return text.len > 0;
}

/*
 * The code point at the start of text if a YAML reader would refuse it or
 * take it for the end of a line; 0 if not.  *len is its bytes.
 */
static unsigned
special_code(struct sv text, size_t *len)
{
    const unsigned char *b = (const unsigned char *)text.ptr;
    unsigned code;

    *len = 1;
    if (b[0] < 0x20 || b[0] == 0x7f)
        return b[0];
    if (text.len >= 2 && b[0] == 0xc2 && b[1] < 0xa0) {
        *len = 2;
        return b[1];
    }
    if (text.len < 3 || (b[0] & 0xf0) != 0xe0)
        return 0;
    code = (b[0] & 0x0fu) << 12 | (b[1] & 0x3fu) << 6 | (b[2] & 0x3fu);
    *len = 3;
    if (code == 0x2028 || code == 0x2029 || code == 0xfeff || code >= 0xfffe)
        return code;
    return 0;
}

void
conf_type_print_yaml(struct sb *out, struct sv text)
{
    unsigned code;
    size_t len;

    if (is_plain_yaml(text)) {
        sb_add_sv(out, text);
        return;
    }
    sb_add_char(out, '"');
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '$' && i + 1 < text.len && text.ptr[i + 1] == '{') {
            sb_add_str(out, "$$");
        } else if (c == '"' || c == '\\') {
            sb_addf(out, "\\%c", c);
        } else if ((code = special_code(sv_sub(text, i, 3), &len)) != 0) {
            sb_addf(out, "\\u%04x", code);
            i += len - 1;
        } else {
            sb_add_char(out, c);
        }
    }
    sb_add_char(out, '"');
}

static bool
list_equal(const struct conf_list *a, const struct conf_list *b)
{
    if (a->n != b->n)
        return false;
    for (unsigned i = 0; i < a->n; i++) {
        if (strcmp(a->v[i], b->v[i]) != 0)
            return false;
    }
    return true;
}

bool
conf_type_equal(enum conf_kind kind, const void *a, const void *b)
{
    switch (kind) {
    case CONF_KIND_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case CONF_KIND_UINT:
    case CONF_KIND_SIZE:
        return *(const uint64_t *)a == *(const uint64_t *)b;
    case CONF_KIND_DURATION:
    case CONF_KIND_RETENTION:
        return *(const int64_t *)a == *(const int64_t *)b;
    case CONF_KIND_ENUM:
        return *(const unsigned *)a == *(const unsigned *)b;
    case CONF_KIND_STRING:
    case CONF_KIND_PATH:
    case CONF_KIND_SECRET:
        return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
    default:
        return list_equal(a, b);
    }
}

/* SPDX-License-Identifier: BSD-2-Clause */

/* Characters and classes of regular expressions. */

#include "core/base.h"
#include "query/regexp_scan.h"

int
scan_refuse(struct scan *scan, size_t pos, const char *what)
{
    return err_set(scan->err, ERR_INVALID,
        "regular expression, position %zu: %s", pos, what);
}

bool
scan_is_at(const struct scan *scan, const char *text)
{
    return sv_starts_with(sv_sub(scan->source, scan->at, SIZE_MAX),
        sv_from(text));
}

int
scan_peek(const struct scan *scan, size_t ahead)
{
    size_t at = scan->at + ahead;

    return at < scan->source.len ? (unsigned char)scan->source.ptr[at] : -1;
}

bool
scan_is_alnum(uint32_t c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* --- characters --- */

void
scan_emit_char(struct scan *scan, uint32_t c)
{
    struct sb *out = &scan->out->pattern;

    if (scan_is_alnum(c))
        sb_add_char(out, (char)c);
    else
        sb_addf(out, "\\x{%x}", c);
}

int
scan_take_rune(struct scan *scan, uint32_t *c)
{
    const char *ptr = scan->source.ptr;
    unsigned len = sv_utf8_rune(ptr + scan->at, ptr + scan->source.len, c);

    if (len == 0)
        return scan_refuse(scan, scan->at, "a byte that is not UTF-8");
    scan->at += len;
    return 0;
}

static int
hex_value(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Behind "\x": two digits, or up to eight in braces. */
static int
take_hex(struct scan *scan, size_t pos, uint32_t *c)
{
    bool has_braces = scan_peek(scan, 0) == '{';
    unsigned max = has_braces ? 8 : 2, n = 0;
    uint32_t v = 0;

    scan->at += has_braces;
    for (; n < max && hex_value(scan_peek(scan, 0)) >= 0; n++, scan->at++)
        v = v << 4 | (uint32_t)hex_value(scan_peek(scan, 0));
    if (has_braces ? n == 0 || scan_peek(scan, 0) != '}' : n < 2)
        return scan_refuse(scan, pos, "bad \\x, write \\x7f or \\x{10ffff}");
    scan->at += has_braces;
    if (v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
        return scan_refuse(scan, pos, "no such character");
    *c = v;
    return 0;
}

/* "\123" and "\0"; a single digit from 1 to 9 would be a back reference. */
static int
take_octal(struct scan *scan, size_t pos, int first, uint32_t *c)
{
    int next = scan_peek(scan, 0);
    bool has_next = next >= '0' && next <= '7';

    if (first >= '8' || (first != '0' && !has_next))
        return scan_refuse(scan, pos, "back references are not supported");
    *c = (uint32_t)(first - '0');
    for (unsigned n = 1; n < 3; n++) {
        next = scan_peek(scan, 0);
        if (next < '0' || next > '7')
            break;
        *c = *c << 3 | (uint32_t)(next - '0');
        scan->at++;
    }
    return 0;
}

static int
refuse_escape(struct scan *scan, size_t pos, int letter)
{
    switch (letter) {
    case 'g':
    case 'k':
        return scan_refuse(scan, pos, "back references are not supported");
    case -1:
        return scan_refuse(scan, pos, "a backslash at the end");
    default:
        return err_set(scan->err, ERR_INVALID, "regular expression, position"
            " %zu: the escape \\%c is not supported", pos,
            letter > 0x20 && letter < 0x7f ? letter : '?');
    }
}

int
scan_take_escaped(struct scan *scan, size_t pos, int letter, uint32_t *c)
{
    static const char names[] = "afnrtv";
    static const char codes[] = "\a\f\n\r\t\v";
    const char *name;

    if (letter == 'x')
        return take_hex(scan, pos, c);
    if (letter >= '0' && letter <= '9')
        return take_octal(scan, pos, letter, c);
    if (letter > 0 && (name = strchr(names, letter)) != NULL) {
        *c = (uint32_t)codes[name - names];
        return 0;
    }
    if (letter < 0 || letter >= 0x80 || scan_is_alnum((uint32_t)letter))
        return refuse_escape(scan, pos, letter);
    *c = (uint32_t)letter;
    return 0;
}

/* --- classes --- */

/*
 * "\pN", "\p{Greek}", "\p{^Lu}".  Names of three letters and more are those
 * of scripts; PCRE2 would take its script extensions.
 */
static int
property(struct scan *scan, size_t pos, int letter)
{
    struct sb *out = &scan->out->pattern;
    struct sv name = sv_sub(scan->source, scan->at, 1);
    bool is_negated = letter == 'P';

    if (scan_peek(scan, 0) == '{') {
        struct sv rest = sv_sub(scan->source, scan->at + 1, SIZE_MAX);

        name = sv_sub(rest, 0, sv_find_byte(rest, '}'));
        if (name.len == rest.len)
            return scan_refuse(scan, pos, "\\p{ without }");
        scan->at += name.len + 2;
        if (name.len > 0 && name.ptr[0] == '^') {
            is_negated = !is_negated;
            name = sv_sub(name, 1, SIZE_MAX);
        }
    } else {
        scan->at += name.len;
    }
    for (size_t i = 0; i < name.len; i++) {
        if (!scan_is_alnum((unsigned char)name.ptr[i]) && name.ptr[i] != '_')
            return scan_refuse(scan, pos, "bad name of a character class");
    }
    if (name.len == 0 || name.len > 40)
        return scan_refuse(scan, pos, "bad name of a character class");
    sb_add_str(out, is_negated ? "\\P{" : "\\p{");
    if (name.len > 2 && !sv_eq(name, SV("Any")))
        sb_add_str(out, "sc:");
    sb_add_sv(out, name);
    sb_add_char(out, '}');
    return 0;
}

int
scan_class_escape(struct scan *scan, size_t pos, bool is_in_class)
{
    struct sb *out = &scan->out->pattern;
    int letter = scan_peek(scan, 1);

    switch (letter) {
    case 'd':
    case 'D':
    case 'w':
    case 'W':
        sb_addf(out, "\\%c", letter);
        break;
    case 's':
        /* PCRE2's has the vertical tab, too. */
        sb_add_str(out, is_in_class ? "\\t\\n\\f\\r\\x{20}"
                                    : "[\\t\\n\\f\\r\\x{20}]");
        break;
    case 'S':
        sb_add_str(out, is_in_class
            ? "\\x{0}-\\x{8}\\x{b}\\x{e}-\\x{1f}\\x{21}-\\x{10ffff}"
            : "[^\\t\\n\\f\\r\\x{20}]");
        break;
    case 'p':
    case 'P':
        scan->at += 2;
        return property(scan, pos, letter);
    default:
        return 1;
    }
    scan->at += 2;
    return 0;
}

/* "[:alpha:]" at scan->at.  1: it is none, and nothing was taken. */
static int
class_posix(struct scan *scan)
{
    static const char *const names[] = {
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph",
        "lower", "print", "punct", "space", "upper", "word", "xdigit",
    };
    struct sv rest = sv_sub(scan->source, scan->at + 2, SIZE_MAX), name;
    const char *end;

    if (!scan_is_at(scan, "[:")
        || (end = memmem(rest.ptr, rest.len, ":]", 2)) == NULL)
        return 1;
    name = sv_make(rest.ptr, (size_t)(end - rest.ptr));
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        bool is_negated = name.len > 0 && name.ptr[0] == '^';

        if (!sv_eq(sv_sub(name, is_negated ? 1 : 0, SIZE_MAX),
            sv_from(names[i])))
            continue;
        sb_addf(&scan->out->pattern, "[:%s%s:]", is_negated ? "^" : "",
            names[i]);
        scan->at += name.len + 4;
        return 0;
    }
    return scan_refuse(scan, scan->at, "unknown character class");
}

static int
class_char(struct scan *scan, uint32_t *c)
{
    size_t pos = scan->at;
    int letter = scan_peek(scan, 1);

    if (scan_peek(scan, 0) != '\\')
        return scan_take_rune(scan, c);
    scan->at = MIN(scan->at + 2, scan->source.len);
    return scan_take_escaped(scan, pos, letter, c);
}

/* One character or a range of them. */
static int
class_range(struct scan *scan)
{
    size_t pos = scan->at;
    uint32_t low, high;

    if (class_char(scan, &low) != 0)
        return -1;
    scan_emit_char(scan, low);
    if (scan_peek(scan, 0) != '-' || scan_peek(scan, 1) == ']'
        || scan_peek(scan, 1) < 0)
        return 0;
    scan->at++;
    if (class_char(scan, &high) != 0)
        return -1;
    if (high < low)
        return scan_refuse(scan, pos, "a range that ends before it begins");
    sb_add_char(&scan->out->pattern, '-');
    scan_emit_char(scan, high);
    return 0;
}

int
scan_class(struct scan *scan)
{
    size_t pos = scan->at++;
    bool is_first = true;

    sb_add_char(&scan->out->pattern, '[');
    if (scan_peek(scan, 0) == '^') {
        sb_add_char(&scan->out->pattern, '^');
        scan->at++;
    }
    for (; is_first || scan_peek(scan, 0) != ']'; is_first = false) {
        int rc = 1;

        if (scan_peek(scan, 0) < 0)
            return scan_refuse(scan, pos, "[ without ]");
        if (scan_peek(scan, 0) == '[')
            rc = class_posix(scan);
        else if (scan_peek(scan, 0) == '\\')
            rc = scan_class_escape(scan, scan->at, true);
        if (rc < 0 || (rc > 0 && class_range(scan) != 0))
            return -1;
    }
    scan->at++;
    sb_add_char(&scan->out->pattern, ']');
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * A body is
 *
 *     --BOUNDARY CRLF
 *     header lines, each with CRLF, then an empty one
 *     the value
 *     CRLF --BOUNDARY CRLF
 *     ...
 *     CRLF --BOUNDARY--
 *
 * with anything before the first delimiter and behind the last one.
 */

#include "core/base.h"
#include "http/multipart.h"

/* Position of the text, or SIZE_MAX. */
static size_t
find(struct sv in, struct sv text)
{
    const char *at = in.len == 0 ? NULL
        : memmem(in.ptr, in.len, text.ptr, text.len);

    return at == NULL ? SIZE_MAX : (size_t)(at - in.ptr);
}

static struct sv
behind(struct sv text, size_t from)
{
    return sv_sub(text, from, text.len);
}

/* Cuts a token or a quoted text off the front; quotes go. */
static struct sv
take_value(struct sv *rest)
{
    struct sv value;
    size_t end;

    if (!sv_starts_with(*rest, SV("\""))) {
        end = sv_find_byte(*rest, ';');
        value = sv_trim(sv_sub(*rest, 0, end));
        *rest = behind(*rest, end);
        return value;
    }
    *rest = behind(*rest, 1);
    end = sv_find_byte(*rest, '"');
    value = sv_sub(*rest, 0, end);
    *rest = behind(*rest, end + 1);
    return value;
}

/* "a; name=value; name2="value"": false when there is no such parameter. */
static bool
find_param(struct sv text, struct sv name, struct sv *value)
{
    struct sv rest = behind(text, sv_find_byte(text, ';'));

    while (sv_starts_with(rest, SV(";"))) {
        struct sv key, found;

        rest = behind(rest, 1);
        key = sv_trim(sv_sub(rest, 0, sv_find_byte(rest, '=')));
        rest = sv_trim(behind(rest, sv_find_byte(rest, '=') + 1));
        found = take_value(&rest);
        rest = sv_trim(rest);
        if (!sv_eq_nocase(key, name))
            continue;
        *value = found;
        return true;
    }
    return false;
}

/* Goes behind the delimiter's line; false: it was the last one. */
static bool
enter_part(struct multipart *multipart)
{
    size_t end;

    if (sv_starts_with(multipart->rest, SV("--")))
        return false;
    /* Blanks may stand there (RFC 2046). */
    end = find(multipart->rest, SV("\r\n"));
    if (end == SIZE_MAX ||
        sv_trim(sv_sub(multipart->rest, 0, end)).len > 0)
        return false;
    multipart->rest = behind(multipart->rest, end + 2);
    return true;
}

bool
multipart_open(struct multipart *multipart, struct sv content_type,
    struct sv body)
{
    struct sv boundary, type;
    size_t at;

    type = sv_trim(sv_sub(content_type, 0, sv_find_byte(content_type, ';')));
    if (!sv_eq_nocase(type, SV("multipart/form-data")) ||
        !find_param(content_type, SV("boundary"), &boundary) ||
        boundary.len == 0 || boundary.len > MULTIPART_BOUNDARY_MAX)
        return false;
    memcpy(multipart->delimiter, "\r\n--", 4);
    memcpy(multipart->delimiter + 4, boundary.ptr, boundary.len);
    multipart->len = 4 + boundary.len;
    multipart->rest = body;
    if (sv_starts_with(body, sv_make(multipart->delimiter + 2,
        multipart->len - 2))) {
        multipart->rest = behind(body, multipart->len - 2);
        return true;
    }
    at = find(body, sv_make(multipart->delimiter, multipart->len));
    if (at == SIZE_MAX)
        return false;
    multipart->rest = behind(body, at + multipart->len);
    return true;
}

/* What Content-Disposition says; false: it is no field with a name. */
static bool
read_headers(struct sv headers, struct sv *name)
{
    struct sv rest = headers, line, file;

    while (sv_split(&rest, '\n', &line)) {
        size_t colon = sv_find_byte(line, ':');

        if (!sv_eq_nocase(sv_sub(line, 0, colon), SV("content-disposition")))
            continue;
        if (sv_ends_with(line, SV("\r")))
            line.len--;
        line = sv_trim(behind(line, colon + 1));
        return sv_eq_nocase(sv_trim(sv_sub(line, 0,
                sv_find_byte(line, ';'))), SV("form-data")) &&
            !find_param(line, SV("filename"), &file) &&
            find_param(line, SV("name"), name);
    }
    return false;
}

bool
multipart_next(struct multipart *multipart, struct sv *name,
    struct sv *value)
{
    struct sv delimiter = sv_make(multipart->delimiter, multipart->len);

    while (enter_part(multipart)) {
        struct sv headers = SV_EMPTY;
        size_t end;

        if (!sv_starts_with(multipart->rest, SV("\r\n"))) {
            end = find(multipart->rest, SV("\r\n\r\n"));
            if (end == SIZE_MAX)
                return false;
            headers = sv_sub(multipart->rest, 0, end);
            multipart->rest = behind(multipart->rest, end + 2);
        }
        /* The CRLF of the empty line may be that of the delimiter. */
        end = find(multipart->rest, delimiter);
        if (end == SIZE_MAX)
            return false;
        *value = end < 2 ? SV_EMPTY : sv_sub(multipart->rest, 2, end - 2);
        multipart->rest = behind(multipart->rest, end + delimiter.len);
        if (read_headers(headers, name))
            return true;
    }
    return false;
}

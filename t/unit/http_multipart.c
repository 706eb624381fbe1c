/* SPDX-License-Identifier: BSD-2-Clause */

/* Arguments in bodies of the type multipart/form-data. */

#include "core/base.h"
#include "http/multipart.h"

#include "core/sb.h"
#include "tap.h"

/* "name=value;" for each field, or "-" when it cannot be read at all. */
static const char *
fields_of(const char *type, const char *body)
{
    static char out[512];
    struct multipart parts;
    struct sv name, value;
    size_t len = 0;

    if (!multipart_open(&parts, sv_from(type), sv_from(body)))
        return "-";
    out[0] = '\0';
    while (multipart_next(&parts, &name, &value))
        len += (size_t)snprintf(out + len, sizeof(out) - len, "%.*s=%.*s;",
            SV_ARG(name), SV_ARG(value));
    return out;
}

#define TYPE "multipart/form-data; boundary=xyz"
#define FIELD(name, value) "--xyz\r\nContent-Disposition: form-data; name=" \
    name "\r\n\r\n" value "\r\n"
#define END "--xyz--\r\n"

static void
test_fields(void)
{
    is_str(fields_of(TYPE, FIELD("\"query\"", "*") FIELD("start", "5m") END),
        "query=*;start=5m;", "two fields");
    is_str(fields_of(TYPE, FIELD("a", "") FIELD("b", "1\r\n2") END),
        "a=;b=1\r\n2;", "an empty value and one of two lines");
    is_str(fields_of("Multipart/Form-Data;charset=x; BOUNDARY=\"xyz\"",
        FIELD("a", "1") END), "a=1;", "another way to write the type");
    is_str(fields_of(TYPE, "preamble\r\n" FIELD("a", "1") END "epilogue"),
        "a=1;", "text around it");
    is_str(fields_of(TYPE, "--xyz \t\r\ncontent-disposition:form-data;"
        "name=\"a;b=\"\r\nContent-Type: text/plain\r\n\r\n1\r\n" END),
        "a;b==1;", "blanks, other headers, and signs in quotes");
    is_str(fields_of(TYPE, FIELD("\"f\"; filename=\"x\"", "data")
        "--xyz\r\n\r\nno header\r\n" FIELD("a", "1") END), "a=1;",
        "files and parts without a name are passed over");
    is_str(fields_of(TYPE, FIELD("a", "--xy\r\n-xyz--") END),
        "a=--xy\r\n-xyz--;", "what only begins like a delimiter");
}

static void
test_malformed(void)
{
    char type[200] = "multipart/form-data; boundary=";

    is_str(fields_of("multipart/form-data", FIELD("a", "1") END), "-",
        "no boundary");
    is_str(fields_of("application/json", FIELD("a", "1") END), "-",
        "another type");
    is_str(fields_of("multipart/mixed; boundary=xyz", FIELD("a", "1") END),
        "-", "other parts");
    is_str(fields_of(TYPE, "a=1"), "-", "no delimiter");
    is_str(fields_of(TYPE, ""), "-", "no body");
    memset(type + strlen(type), 'b', 71);
    is_str(fields_of(type, FIELD("a", "1") END), "-", "a long boundary");
    is_str(fields_of(TYPE, FIELD("a", "1")), "", "no end: the last is lost");
    is_str(fields_of(TYPE, FIELD("a", "1") "--xyz\r\nno empty line"), "a=1;",
        "headers without an end");
    is_str(fields_of(TYPE, "--xyz"), "", "nothing behind the delimiter");
    is_str(fields_of(TYPE, "--xyz--\r\n" FIELD("a", "1")), "",
        "nothing counts behind the end");
    is_str(fields_of(TYPE, "--xyz\r\nContent-Disposition: form-data; name\r\n"
        "\r\n1\r\n" END), "=1;", "a name without a value");
}

int
main(void)
{
    test_fields();
    test_malformed();
    return tap_done();
}

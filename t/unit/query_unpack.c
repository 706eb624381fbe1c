/* SPDX-License-Identifier: BSD-2-Clause */

/* Texts that pipes take apart: JSON, logfmt, syslog, arrays, words. */

#include "core/base.h"

#include "query/arrays.h"
#include "query/unpackers.h"

#include "tap.h"

#define NOW INT64_C(1800000000000000000) /* 2027-01-15T08:00:00Z */

static struct pool *pool;

static const char *
unpack(unpack_fn fn, const char *text, const struct unpack_spec *spec)
{
    struct unpacked out = {.pool = pool, .wanted = spec->fields,
        .nwanted = spec->nfields};
    struct sb sb;

    if (fn(&out, sv_from(text), spec) != 0)
        return "no memory";
    sb_init(&sb, MIB);
    for (uint32_t i = 0; i < out.n; i++) {
        if (i > 0)
            sb_add_char(&sb, '|');
        sb_add_sv(&sb, out.fields[i].name);
        sb_add_char(&sb, '=');
        sb_add_sv(&sb, out.fields[i].text);
    }
    text = pool_dup(pool, sb.ptr, sb.len);
    sb_release(&sb);
    return text;
}

/* Names of n letters. */
#define N40 "aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd"
#define N63 N40 "eeeeeeeeeeffffffffffggg"
#define N64 N63 "g"

static const struct {
    const char *text;
    const char *want;
} jsons[] = {
    {"", ""},
    {"{}", ""},
    {" {\"a\":1} ", "a=1"},
    {"{\"a\":1,\"b\":\"two\",\"c\":true,\"d\":null,\"e\":\"\"}",
        "a=1|b=two|c=true|e="},
    {"{\"a\":{\"b\":{\"c\":5}},\"l\":[1,\"x\",{\"y\":2}]}",
        "a.b.c=5|l=[1,\"x\",{\"y\":2}]"},
    {"{\"a\":{\"b\":{}},\"c\":[]}", "c=[]"},
    {"{\"k k\":\"v v\",\"q\\\"q\":\"\\u00e9\\n\"}",
        "k k=v v|q\"q=\xc3\xa9\n"},
    {"{\"a\":1.50,\"b\":-3e2,\"c\":12345678901234567890}",
        "a=1.50|b=-3e2|c=12345678901234567890"},
    {"{\"a\":1,\"a\":2}", "a=1|a=2"},
    {"{\"\":1,\"a\":{\"\":2}}", "=1|a.=2"},
    /* no whole object */
    {"{\"a\":", ""},
    {"{\"a\":1", ""},
    {"{\"a\":1}x", ""},
    {"{\"a\":1} {\"b\":2}", ""},
    {"{\"a\":1,\"b\":{\"c\":tru}}", ""},
    {"[1,2]", ""},
    {"\"str\"", ""},
    {"plain", ""},
    {"{a:1}", ""},
    /* 128 bytes are a name, 129 are none */
    {"{\"" N64 "\":{\"" N63 "\":1}}", N64 "." N63 "=1"},
    {"{\"" N64 "\":{\"x\":1,\"" N64 "\":1,\"y\":[2]},\"z\":1}",
        N64 "={\"x\":1,\"" N64 "\":1,\"y\":[2]}|z=1"},
    {"{\"a\":{\"" N63 "\":{\"" N64 "\":{\"x\":1}},\"b\":2}}",
        "a." N63 "={\"" N64 "\":{\"x\":1}}|a.b=2"},
};

static const struct {
    const char *text;
    const char *want;
} logfmts[] = {
    {"", ""},
    {"level=info msg=\"all good\" dur=15ms",
        "level=info|msg=all good|dur=15ms"},
    {"a=1 b=2 a=3", "a=1|b=2|a=3"},
    {"novalue= flag k=\"quoted \\\"inner\\\" v\"",
        "novalue=|flag=|k=quoted \"inner\" v"},
    {"x=\"unterminated", "x=\"unterminated"},
    {"x=\"un terminated", "x=\"un|terminated="},
    {"name=inner foo=bar=baz", "name=inner|foo=bar=baz"},
    {"k1=v1;k2=\"v 2\";k3", "k1=v1;k2=\"v|2\";k3="},
    {"a=`b \"c\"` d='e f'", "a=b \"c\"|d='e|f'="},
    {"a=\"b\"junk c=d", "a=b"},
    {"a=\"b\" c=d ", "a=b|c=d"},
    {"a  b", "a=|b="},
    {"=x a=b", "a=b"},
    {"a=\"\\q\" b=1", "a=\"\\q\"|b=1"},
    {"a=\"\" b=", "a=|b="},
};

static const struct {
    const char *text;
    const char *want;
} syslogs[] = {
    {"", ""},
    {"<165>1 2026-01-14T22:14:15.003Z host1.example.com evntslog 8710 ID47 "
        "[exampleSDID@32473 iut=\"3\" eventSource=\"App\"] An event",
        "priority=165|facility=20|facility_keyword=local4|severity=5|"
        "level=notice|format=rfc5424|timestamp=2026-01-14T22:14:15.003Z|"
        "hostname=host1.example.com|app_name=evntslog|proc_id=8710|"
        "msg_id=ID47|exampleSDID@32473.iut=3|"
        "exampleSDID@32473.eventSource=App|message=An event"},
    {"1 2026-01-14T10:00:00Z h app - - - msg only",
        "format=rfc5424|timestamp=2026-01-14T10:00:00Z|hostname=h|"
        "app_name=app|proc_id=-|msg_id=-|message=msg only"},
    {"1 t h a p m [x][k=v y=\"z\"][q a=\"b\\\"c\\\\d\\]e\\f\"] m",
        "format=rfc5424|timestamp=t|hostname=h|app_name=a|proc_id=p|"
        "msg_id=m|x=|k=v|y=z|q.a=b\"c\\d]e\\f|message=m"},
    {"1 t h a p m [x y=\"z] m",
        "format=rfc5424|timestamp=t|hostname=h|app_name=a|proc_id=p|"
        "msg_id=m"},
    {"1 t h a p m [x y=z] m",
        "format=rfc5424|timestamp=t|hostname=h|app_name=a|proc_id=p|"
        "msg_id=m"},
    {"1 t h", "format=rfc5424|timestamp=t|hostname=h"},
    {"<34>Oct 11 22:14:15 mymachine su: 'su root' failed",
        "priority=34|facility=4|facility_keyword=auth|severity=2|"
        "level=critical|format=rfc3164|timestamp=2026-10-11T22:14:15.000Z|"
        "hostname=mymachine|app_name=su|message='su root' failed"},
    {"<191>Feb  5 17:32:18 10.0.0.99 myproc[10]: hello",
        "priority=191|facility=23|facility_keyword=local7|severity=7|"
        "level=debug|format=rfc3164|timestamp=2026-02-05T17:32:18.000Z|"
        "hostname=10.0.0.99|app_name=myproc|proc_id=10|message=hello"},
    /* Now is 2027-01-15T08: a day in the future is no future. */
    {"Jan 16 07:59:59 h a: m", "format=rfc3164|"
        "timestamp=2027-01-16T07:59:59.000Z|hostname=h|app_name=a|"
        "message=m"},
    {"Jan 16 08:00:01 h a: m", "format=rfc3164|"
        "timestamp=2026-01-16T08:00:01.000Z|hostname=h|app_name=a|"
        "message=m"},
    {"Jan  1 00:00:00 h cron[12", "format=rfc3164|"
        "timestamp=2027-01-01T00:00:00.000Z|hostname=h|app_name=cron"},
    {"Jan  1 00:00:00 h word text", "format=rfc3164|"
        "timestamp=2027-01-01T00:00:00.000Z|hostname=h|app_name=word|"
        "message=text"},
    {"Jan  1 00:00:00", "format=rfc3164|"
        "timestamp=2027-01-01T00:00:00.000Z"},
    {"Jan 32 00:00:00 h a: m",
        "format=rfc3164|message=Jan 32 00:00:00 h a: m"},
    {"Jan  1 24:00:00 h a: m",
        "format=rfc3164|message=Jan  1 24:00:00 h a: m"},
    {"not syslog", "format=rfc3164|message=not syslog"},
    {"<999>x", "priority=999|facility=124|severity=7|level=debug|"
        "format=rfc3164|message=x"},
    {"<x>y", ""},
    {"<>y", ""},
    {"<1234567>y", ""},
    {"<12", ""},
};

static void
test_unpackers(void)
{
    struct field_pattern wanted[] = {{SV("a"), false}, {SV("b."), true}};
    struct unpack_spec spec = {.now_ns = NOW}, some = spec, zone = spec;

    for (size_t i = 0; i < ARRAY_LEN(jsons); i++)
        is_str(unpack(unpack_json, jsons[i].text, &spec), jsons[i].want,
            "JSON %s", jsons[i].text);
    for (size_t i = 0; i < ARRAY_LEN(logfmts); i++)
        is_str(unpack(unpack_logfmt, logfmts[i].text, &spec),
            logfmts[i].want, "logfmt %s", logfmts[i].text);
    for (size_t i = 0; i < ARRAY_LEN(syslogs); i++)
        is_str(unpack(unpack_syslog, syslogs[i].text, &spec),
            syslogs[i].want, "syslog %s", syslogs[i].text);

    some.fields = wanted;
    some.nfields = 2;
    is_str(unpack(unpack_json, "{\"a\":1,\"b\":{\"c\":2,\"d\":{\"e\":3}},"
        "\"bc\":4}", &some), "a=1|b.c=2|b.d.e=3", "only what is wanted");
    zone.offset_ns = 2 * 3600 * NS_PER_SEC;
    is_str(unpack(unpack_syslog, "Oct 11 22:14:15 h a: m", &zone),
        "format=rfc3164|timestamp=2026-10-11T20:14:15.000Z|hostname=h|"
        "app_name=a|message=m", "a zone");
    zone.offset_ns = INT64_MAX;
    is_str(unpack(unpack_syslog, "Oct 11 22:14:15 h", &zone),
        "format=rfc3164|message=Oct 11 22:14:15 h", "a zone of 292 years");
}

static void
test_many_fields(void)
{
    struct unpack_spec spec = {.now_ns = NOW};
    struct unpacked out = {.pool = pool};
    struct sb json, logfmt;

    sb_init(&json, MIB);
    sb_init(&logfmt, MIB);
    sb_add_char(&json, '{');
    for (int i = 0; i < 1500; i++) {
        sb_addf(&json, "%s\"k%d\":%d", i == 0 ? "" : ",", i, i);
        sb_addf(&logfmt, "k%d=%d ", i, i);
    }
    sb_add_char(&json, '}');
    ok(unpack_json(&out, sb_sv(&json), &spec) == 0 &&
        out.n == UNPACK_FIELDS_MAX, "1000 of 1500 members");
    out.n = 0;
    ok(unpack_logfmt(&out, sb_sv(&logfmt), &spec) == 0 &&
        out.n == UNPACK_FIELDS_MAX, "1000 of 1500 pairs");

    sb_reset(&json);
    for (int i = 0; i < 5000; i++)
        sb_add_str(&json, "{\"a\":");
    is_str(unpack(unpack_json, json.ptr, &spec), "", "deep JSON");
    sb_release(&json);
    sb_release(&logfmt);
}

/* --- arrays --- */

static const struct {
    const char *text;
    uint64_t n;
    const char *joined;
} arrays[] = {
    {"", 0, ""},
    {"[]", 0, ""},
    {"[1,2,3]", 3, "1/2/3"},
    {" [ \"a\" , [1, 2] , {\"b\":null}, null, true ] ", 5,
        "a/[1, 2]/{\"b\":null}/null/true"},
    {"[\"\\u00e9\\n\",\"\",\"q\\\"q\"]", 3, "\xc3\xa9\n//q\"q"},
    {"[1,2", 0, ""},
    {"[1,2]x", 0, ""},
    {"[1 2]", 0, ""},
    {"[1,]", 0, ""},
    {"{\"a\":[1]}", 0, ""},
    {"null", 0, ""},
    {"plain", 0, ""},
};

static const struct {
    const char *text;
    const char *words;
    const char *distinct;
} words[] = {
    {"", "[]", "[]"},
    {"-", "[]", "[]"},
    {"foo_bar-baz.x 10.0", "[\"foo_bar\",\"baz\",\"x\",\"10\",\"0\"]", NULL},
    {"b a b b c a", "[\"b\",\"a\",\"b\",\"b\",\"c\",\"a\"]",
        "[\"b\",\"a\",\"c\"]"},
    {"na\xc3\xafve \xe6\x97\xa5", "[\"na\xc3\xafve\",\"\xe6\x97\xa5\"]",
        NULL},
    {"a\xff" "b", "[\"a\",\"b\"]", NULL},
};

static const struct {
    const char *text;
    const char *separator;
    const char *want;
} pieces[] = {
    {"", ",", "[]"},
    {"a", ",", "[\"a\"]"},
    {"a,b,,c", ",", "[\"a\",\"b\",\"\",\"c\"]"},
    {",a,", ",", "[\"\",\"a\",\"\"]"},
    {"a, b", ", ", "[\"a\",\"b\"]"},
    {"a\xc3\xa9" "b", "", "[\"a\",\"\xc3\xa9\",\"b\"]"},
    {"\"x\"\n", "x", "[\"\\\"\",\"\\\"\\n\"]"},
};

static void
test_arrays(void)
{
    struct sb sb;

    sb_init(&sb, MIB);
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++) {
        is_int(array_count(sv_from(arrays[i].text)), arrays[i].n,
            "items of %s", arrays[i].text);
        sb_reset(&sb);
        ok(array_join(&sb, sv_from(arrays[i].text), SV("/"), pool), "join");
        is_str(sb.ptr, arrays[i].joined, "%s", arrays[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        const char *distinct = words[i].distinct == NULL ? words[i].words :
            words[i].distinct;

        sb_reset(&sb);
        ok(array_of_words(&sb, sv_from(words[i].text), false), "words");
        is_str(sb.ptr, words[i].words, "words of %s", words[i].text);
        sb_reset(&sb);
        ok(array_of_words(&sb, sv_from(words[i].text), true), "words");
        is_str(sb.ptr, distinct, "distinct words of %s", words[i].text);
    }
    for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
        sb_reset(&sb);
        array_of_pieces(&sb, sv_from(pieces[i].text),
            sv_from(pieces[i].separator));
        is_str(sb.ptr, pieces[i].want, "'%s' split by '%s'", pieces[i].text,
            pieces[i].separator);
    }
    sb_release(&sb);
}

int
main(void)
{
    pool = pool_new(256 * MIB);
    test_unpackers();
    test_many_fields();
    test_arrays();
    pool_free(pool);
    return tap_done();
}

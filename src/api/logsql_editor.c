/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * For editors of queries: /select/logsql/parse tells what a text is, token by
 * token, its canonical form or its error; /select/logsql/registry tells what
 * there is to write.
 */

#include "core/base.h"
#include "api/logsql.h"

#include "core/json_out.h"
#include "core/num.h"
#include "core/timefmt.h"
#include "query/parse.h"
#include "query/parser.h"
#include "query/pipe_type.h"
#include "query/text.h"

/* Of one request: a query is short. */
#define EDITOR_BYTES_MAX (16 * MIB)

/* --- tokens --- */

static bool
is_keyword(struct sv word)
{
    static const char *const words[] = {
        "and", "or", "not", "by", "as", "if", "limit", "offset", "with",
        "hits", "partition", "rank", "desc", "asc", "from", "at", "options",
        "on", "inner", "prefix", "switch", "case", "default",
    };

    for (size_t i = 0; i < ARRAY_LEN(words); i++) {
        if (sv_eq_nocase(word, sv_from(words[i])))
            return true;
    }
    return false;
}

static bool
is_number(struct sv word)
{
    double number;
    int64_t ns;

    return number_parse(word, &number) || duration_parse(word, &ns);
}

/* behind_bar: the token before is '|', or begins a query of its own. */
static const char *
word_kind(const struct lexer *lexer, bool behind_bar)
{
    struct sv word = lexer->token.raw;
    struct lexer next = *lexer;
    bool calls;

    lexer_next(&next);
    calls = lexer_at(&next, "(");
    if (behind_bar && pipe_type_find(word) != NULL)
        return "pipe";
    if (next.token.is_touching && lexer_at(&next, ":"))
        return "field";
    if (calls && function_name_find(word) != NULL &&
        filter_name_find(word) == NULL)
        return "function";
    if (calls && filter_name_find(word) != NULL)
        return "filter";
    if (is_keyword(word))
        return "keyword";
    return is_number(word) ? "number" : "word";
}

static const char *
token_kind(const struct lexer *lexer, bool behind_bar)
{
    struct lexer next = *lexer;

    switch (lexer->token.kind) {
    case TOKEN_WORD:
        return word_kind(lexer, behind_bar);
    case TOKEN_QUOTED:
        lexer_next(&next);
        return next.token.is_touching && lexer_at(&next, ":") ? "field"
                                                              : "string";
    case TOKEN_SIGN:
        return "sign";
    default:
        return "bad";
    }
}

/* Places are counted in characters from 1, as in messages. */
static void
put_tokens(struct json_out *out, struct sv text, struct pool *pool)
{
    struct lexer lexer;
    const char *at = text.ptr;
    uint64_t pos = 1;
    bool behind_bar = false;

    lexer_init(&lexer, text, pool);
    json_key(out, "tokens");
    json_array(out);
    while (lexer.token.kind != TOKEN_END) {
        struct sv raw = lexer.token.raw;

        pos += text_length(sv_make(at, (size_t)(raw.ptr - at)));
        at = raw.ptr;
        json_object(out);
        json_key(out, "position");
        json_u64(out, pos);
        json_key(out, "length");
        json_u64(out, text_length(raw));
        json_key(out, "kind");
        json_string(out, sv_from(token_kind(&lexer, behind_bar)));
        json_object_end(out);
        behind_bar = lexer_at(&lexer, "|");
        if (lexer.token.kind == TOKEN_BAD)
            break;
        lexer_next(&lexer);
    }
    json_array_end(out);
}

/* "position 17: ..." */
static void
put_error(struct json_out *out, const struct err *err)
{
    struct sv text = sv_from(err->text), rest, number;
    uint64_t pos;

    json_key(out, "error");
    json_object(out);
    rest = sv_sub(text, 9, text.len);
    if (sv_starts_with(text, SV("position ")) &&
        sv_split(&rest, ':', &number) && num_parse_u64(number, &pos)) {
        json_key(out, "position");
        json_u64(out, pos);
        text = sv_trim(rest);
    }
    json_key(out, "text");
    json_string(out, text);
    json_object_end(out);
}

static void
put_canonical(struct json_out *out, const struct query *query)
{
    struct sb sb;

    sb_init(&sb, EDITOR_BYTES_MAX);
    query_print(&sb, query);
    json_key(out, "query");
    json_string(out, sb_sv(&sb));
    sb_release(&sb);
}

void
logsql_parse(struct http_req *req)
{
    size_t len_max = (size_t)req->process->conf->query_len_max;
    struct sv text = http_arg(req, "query");
    struct err err = ERR_INIT;
    struct json_out out;
    struct query *query;
    struct pool *pool;
    struct sb sb;
    int rc;

    if (text.len > len_max) {
        http_reply_error(req, 400, "the query has %zu bytes, more than "
            "search.max_query_len (%zu)", text.len, len_max);
        return;
    }
    pool = pool_new(EDITOR_BYTES_MAX);
    rc = query_parse(&query, text, clock_wall_ns(), pool, &err);
    sb_init(&sb, EDITOR_BYTES_MAX);
    json_out_init(&out, &sb);
    json_object(&out);
    json_key(&out, "status");
    json_string(&out, rc == 0 ? SV("success") : SV("error"));
    if (rc == 0)
        put_canonical(&out, query);
    else
        put_error(&out, &err);
    put_tokens(&out, text, pool);
    json_object_end(&out);
    http_reply_sb(req, 200, "application/json", &sb);
    sb_release(&sb);
    pool_free(pool);
}

/* --- the registry --- */

struct entry {
    const char *name, *aliases, *syntax, *example, *doc;
    bool is_ready;
};

static void
put_text(struct json_out *out, const char *key, const char *text)
{
    if (text == NULL || *text == '\0')
        return;
    json_key(out, key);
    json_string(out, sv_from(text));
}

static void
put_entry(struct json_out *out, const struct entry *entry)
{
    struct sv rest = sv_from(entry->aliases), alias;

    json_object(out);
    put_text(out, "name", entry->name);
    if (rest.len > 0) {
        json_key(out, "aliases");
        json_array(out);
        while (sv_split(&rest, ' ', &alias))
            json_string(out, alias);
        json_array_end(out);
    }
    put_text(out, "syntax", entry->syntax);
    put_text(out, "example", entry->example);
    put_text(out, "doc", entry->doc);
    json_key(out, "ready");
    json_bool(out, entry->is_ready);
    json_object_end(out);
}

static void
put_pipes(struct json_out *out)
{
    json_key(out, "pipes");
    json_array(out);
    for (size_t i = 0; i < npipe_types; i++) {
        const struct pipe_type *type = &pipe_types[i];

        put_entry(out, &(struct entry){type->name, type->aliases,
            type->syntax, type->example, type->doc, type->ops != NULL});
    }
    json_array_end(out);
}

static void
put_functions(struct json_out *out)
{
    json_key(out, "functions");
    json_array(out);
    for (size_t i = 0; i < nfunction_names; i++) {
        const struct function_name *name = &function_names[i];

        put_entry(out, &(struct entry){name->name, "", name->syntax,
            name->example, name->doc, true});
    }
    json_array_end(out);
}

static void
put_filters(struct json_out *out)
{
    json_key(out, "filters");
    json_array(out);
    for (size_t i = 0; i < nfilter_names; i++) {
        const struct filter_name *name = &filter_names[i];

        put_entry(out, &(struct entry){name->name, "", name->syntax,
            name->example, name->doc, true});
    }
    json_array_end(out);
}

void
logsql_registry(struct http_req *req)
{
    struct json_out out;
    struct sb sb;

    sb_init(&sb, EDITOR_BYTES_MAX);
    json_out_init(&out, &sb);
    json_object(&out);
    put_filters(&out);
    put_pipes(&out);
    put_functions(&out);
    json_object_end(&out);
    http_reply_sb(req, 200, "application/json", &sb);
    sb_release(&sb);
}

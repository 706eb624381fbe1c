/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Files of users and tokens, the field Authorization, what is remembered of
 * checks, and the time that comparing takes (a table, no verdict).
 */

#include "core/base.h"

#include <crypt.h>
#include <math.h>

#include "core/conf_listener.h"
#include "core/sys.h"
#include "core/timefmt.h"
#include "http/auth.h"
#include "http/auth_cache.h"
#include "http/gate.h"
#include "http/group.h"
#include "http/users.h"

#include "tap.h"

static char sha512[128], sha256[128], bcrypt[128], yescrypt[128];

static void
make_hash(char *dst, const char *salt)
{
    struct crypt_data data;

    memset(&data, 0, sizeof(data));
    snprintf(dst, 128, "%s", crypt_r("pass", salt, &data));
}

/* --- files --- */

static struct users *
parse(const char *text, struct err *err)
{
    struct users *users = users_new();

    if (users_parse(users, sv_from(text), "users", err) == 0 &&
        users_finish(users, err) == 0)
        return users;
    users_free(users);
    return NULL;
}

static const struct user *
find(const struct users *users, const char *name, const char *password)
{
    struct secret_digest digest;

    users_digest(&digest, sv_from(name), sv_from(password));
    return users_find(users, &digest);
}

static void
test_good_file(void)
{
    struct err err = ERR_INIT;
    char text[1024];
    struct users *users;
    const struct user *user;

    snprintf(text, sizeof(text), "# people\r\n\n"
        "ann:{PLAIN}pass word\r\n  bob:{PLAIN}x:insert,select  \n"
        "carl:%s:admin\ndora:%s:*\nzo\xc3\xab:%s\neve:%s", sha512, bcrypt,
        yescrypt, sha256);
    users = parse(text, &err);
    ok(users != NULL, "a file of all kinds: %s", err.text);
    if (users == NULL)
        return;
    is_int(users_count(users), 6, "users");
    user = find(users, "ann", "pass word");
    ok(user != NULL && strcmp(user->name, "ann") == 0, "a plain one");
    is_int(user != NULL ? user->groups : 0, GROUPS_ALL, "may do everything");
    user = find(users, "bob", "x");
    is_int(user != NULL ? user->groups : 0,
        CONF_GROUP_INSERT | CONF_GROUP_SELECT, "one of some groups");
    ok(find(users, "bob", "y") == NULL, "a wrong password");
    ok(find(users, "annp", "ass word") == NULL, "the border counts");
    ok(find(users, "carl", "pass") == NULL, "a hashed one is not known yet");
    ok(users_are_slow(users), "and takes long");
    user = users_find_hashed(users, SV("carl"));
    ok(!users_is_nobody(users, user) &&
        secret_hash_is_of(user->hash, "pass"), "SHA-512");
    is_int(user->groups, CONF_GROUP_ADMIN, "its groups");
    ok(!secret_hash_is_of(user->hash, "pasS"), "another password");
    ok(secret_hash_is_of(users_find_hashed(users, SV("dora"))->hash, "pass"),
        "bcrypt");
    ok(secret_hash_is_of(users_find_hashed(users,
        SV("zo\xc3\xab"))->hash, "pass"), "yescrypt");
    ok(secret_hash_is_of(users_find_hashed(users, SV("eve"))->hash, "pass"),
        "SHA-256");
    user = users_find_hashed(users, SV("nobody"));
    ok(users_is_nobody(users, user) && user->hash != NULL,
        "an unknown name has a hash to check, too");
    users_free(users);
}

static void
test_bad_files(void)
{
    static const struct {
        const char *text;
        const char *error;
    } bad[] = {
        {"", "the files of users and tokens name nobody"},
        {"# only\n\n", "the files of users and tokens name nobody"},
        {"ann", "users:1: the user has no password"},
        {"\nann:", "users:2: the user has no password"},
        {":{PLAIN}x", "users:1: a line begins with the name"},
        {"a\x01:{PLAIN}x", "users:1: a line begins with the name"},
        {"a\xff:{PLAIN}x", "users:1: a line begins with the name"},
        {"ann:{PLAIN}", "users:1: the password is empty"},
        {"ann:{PLAIN}a:b", "users:1: what follows the last ':' are groups"},
        {"ann:{PLAIN}a:insert:select", "users:1: what follows the last"},
        {"ann:{PLAIN}a:", "users:1: what follows the last ':'"},
        {"ann:hunter2", "users:1: the password is neither {PLAIN}"},
        {"ann:$apr1$abc$def", "users:1: the password is neither {PLAIN}"},
        {"ann:{SHA}abc=", "users:1: the password is neither {PLAIN}"},
        {"ann:abJnggxhB/yWI", "users:1: the password is neither {PLAIN}"},
        {"ann:$6$salt", "users:1: the hash of the password is not whole"},
        {"ann:$6$", "users:1: the hash of the password is not whole"},
        {"ann:$2b$10$short", "users:1: the hash of the password is not"},
        {"a:{PLAIN}1\nb:{PLAIN}2\na:{PLAIN}3",
            "users:3: the user is named before, too"},
    };
    char text[600], line[1200];
    struct err err = ERR_INIT;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        err_reset(&err);
        ok(parse(bad[i].text, &err) == NULL &&
            strncmp(err.text, bad[i].error, strlen(bad[i].error)) == 0,
            "refused: %s", bad[i].error);
        ok(strstr(err.text, "hunter2") == NULL, "no secret in it");
    }
    memset(text, 'a', 129);
    snprintf(line, sizeof(line), "%.129s:{PLAIN}x", text);
    ok(parse(line, &err) == NULL, "a long name");
    memset(line, 'a', 1100);
    line[1100] = '\0';
    ok(parse(line, &err) == NULL &&
        strstr(err.text, "longer than 1024") != NULL, "a long line");
    snprintf(line, sizeof(line), "x:$2b$16$%.53s", bcrypt + 7);
    ok(parse(line, &err) == NULL && strstr(err.text, "too long") != NULL,
        "a hash that takes too much time");
    snprintf(line, sizeof(line), "x:$6$rounds=2000000$abc$%s",
        strrchr(sha512, '$') + 1);
    ok(parse(line, &err) == NULL && strstr(err.text, "too long") != NULL,
        "rounds that take too much time");
}

static void
test_tokens(void)
{
    static const char text[] = "# tokens\ntoken-one-1\n"
        "{SHA256}cb7f7b5cd35cbdbae42ba93b18d6e0fe8ac4a4ab2a40d5ad4b8d1ee4c6b8"
        "d0aa:select\nother.token/2+=:insert\n";
    struct users *users = users_new();
    struct err err = ERR_INIT;
    uint8_t sha[SECRET_SHA256_BYTES];
    const struct user *user;
    struct sb more;

    secret_sha256(sha, SV("hashed token"));
    sb_init(&more, 1024);
    sb_add_str(&more, text);
    sb_add_str(&more, "{SHA256}");
    sb_add_hex(&more, sha, sizeof(sha));
    is_int(users_parse_tokens(users, sb_sv(&more), "tokens", &err), 0,
        "tokens: %s", err.text);
    is_int(users_finish(users, &err), 0, "all of them");
    user = users_find_token(users, SV("token-one-1"));
    ok(user != NULL && strcmp(user->name, "token:2") == 0,
        "a token is named by its line");
    user = users_find_token(users, SV("other.token/2+="));
    is_int(user != NULL ? user->groups : 0, CONF_GROUP_INSERT, "its groups");
    ok(users_find_token(users, SV("hashed token")) != NULL, "a hashed one");
    ok(users_find_token(users, SV("token-one-2")) == NULL, "a wrong one");
    ok(users_find_token(users, SV("")) == NULL, "an empty one");
    ok(users_have_tokens(users) && !users_have_names(users), "no names");
    users_free(users);
    sb_release(&more);

    users = users_new();
    ok(users_parse_tokens(users, SV("short"), "tokens", &err) != 0 &&
        strcmp(err.text, "tokens:1: a token has 8 bytes or more") == 0,
        "a short token");
    ok(users_parse_tokens(users, SV("\n{SHA256}abc"), "tokens", &err) != 0 &&
        strncmp(err.text, "tokens:2: {SHA256}", 18) == 0, "half a digest");
    users_free(users);
}

/* --- the field --- */

static void
test_header(void)
{
    static const struct {
        const char *field;
        enum auth_scheme scheme;
        const char *name;
        const char *password;
    } cases[] = {
        {"Basic YTpi", AUTH_BASIC, "a", "b"},
        {"bAsIc   YTpi", AUTH_BASIC, "a", "b"},
        {"Basic YTpiOmM=", AUTH_BASIC, "a", "b:c"},
        {"Basic YTo=", AUTH_BASIC, "a", ""},
        {"Basic OmI=", AUTH_BASIC, "", "b"},
        {"Basic YWI=", AUTH_OTHER, NULL, NULL},     /* no colon */
        {"Basic YTpiAA==", AUTH_OTHER, NULL, NULL}, /* a zero byte */
        {"Basic YTp%", AUTH_OTHER, NULL, NULL},
        {"Basic ", AUTH_OTHER, NULL, NULL},
        {"Basic", AUTH_OTHER, NULL, NULL},
        {"BasicYTpi", AUTH_OTHER, NULL, NULL},
        {"Bearer abc", AUTH_BEARER, "abc", NULL},
        {"bearer  abc ", AUTH_BEARER, "abc", NULL},
        {"Bearer", AUTH_OTHER, NULL, NULL},
        {"Bearer ", AUTH_OTHER, NULL, NULL},
        {"Digest username=x", AUTH_OTHER, NULL, NULL},
        {"", AUTH_OTHER, NULL, NULL},
    };
    uint8_t buf[AUTH_FIELD_BYTES_MAX];
    struct auth_header header;
    char large[AUTH_FIELD_BYTES_MAX + 2];

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct sv first;

        auth_header_parse(sv_from(cases[i].field), buf, &header);
        first = header.scheme == AUTH_BEARER ? header.token : header.name;
        ok(header.scheme == cases[i].scheme &&
            (cases[i].name == NULL || sv_eq(first, sv_from(cases[i].name))) &&
            (cases[i].password == NULL ||
            sv_eq(header.password, sv_from(cases[i].password))),
            "\"%s\"", cases[i].field);
    }
    auth_header_parse(sv_make(NULL, 0), buf, &header);
    is_int(header.scheme, AUTH_NONE, "no field");
    memset(large, 'A', sizeof(large));
    memcpy(large, "Basic ", 6);
    auth_header_parse(sv_make(large, sizeof(large)), buf, &header);
    is_int(header.scheme, AUTH_OTHER, "a field that is too long");
    auth_header_parse(sv_make(large, AUTH_FIELD_BYTES_MAX), buf, &header);
    is_int(header.scheme, AUTH_OTHER, "the longest");
}

static void
test_sites(void)
{
    static const struct {
        const char *site;
        const char *origin;
        const char *host;
        bool is_cross;
    } cases[] = {
        {NULL, NULL, "a:1", false},
        {NULL, "http://a:1", "a:1", false},
        {NULL, "https://A:1", "a:1", false},
        {NULL, "http://b:1", "a:1", true},
        {NULL, "http://a:2", "a:1", true},
        {NULL, "null", "a:1", true},
        {NULL, "http://a:1.evil", "a:1", true},
        {NULL, "", "a:1", true},
        {NULL, "http://", "", true},
        {"same-origin", "http://other", "a:1", false},
        {"none", NULL, "a:1", false},
        {"cross-site", NULL, "a:1", true},
        {"same-site", "http://a:1", "a:1", true},
        {"cross-site", "http://a:1", "a:1", true},
        {"SAME-ORIGIN", NULL, "a:1", true},
        {"", NULL, "a:1", true},
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct http_header headers[3];
        struct http_req req = {.headers = headers};

        headers[req.nheaders++] = (struct http_header){SV("host"),
            sv_from(cases[i].host)};
        if (cases[i].site != NULL)
            headers[req.nheaders++] = (struct http_header){
                SV("sec-fetch-site"), sv_from(cases[i].site)};
        if (cases[i].origin != NULL)
            headers[req.nheaders++] = (struct http_header){SV("origin"),
                sv_from(cases[i].origin)};
        is_int(gate_is_cross_site(&req), cases[i].is_cross,
            "Sec-Fetch-Site %s, Origin %s", cases[i].site != NULL
            ? cases[i].site : "-", cases[i].origin != NULL
            ? cases[i].origin : "-");
    }
}

/* --- what is remembered --- */

static void
test_cache(void)
{
    struct user ann = {"ann", 0, NULL};
    const struct user *user = NULL;
    struct secret_digest right, wrong, other;
    unsigned kept = 0;
    char text[32];

    secret_digest(&right, "t", SV("right"), SV_EMPTY);
    secret_digest(&wrong, "t", SV("wrong"), SV_EMPTY);
    ok(!auth_cache_get(&right, 0, &user), "nothing is known");
    auth_cache_put(&right, &ann, 100);
    auth_cache_put(&wrong, NULL, 50);
    ok(auth_cache_get(&right, 99, &user) && user == &ann, "a right one");
    ok(auth_cache_get(&wrong, 49, &user) && user == NULL, "a wrong one");
    ok(!auth_cache_get(&right, 100, &user), "for its time");
    ok(!auth_cache_get(&wrong, 50, &user), "both");
    ok(auth_cache_get_old(&right) == &ann, "a right one was right");
    ok(auth_cache_get_old(&wrong) == NULL, "a wrong one was not");
    for (int i = 0; i < 100000; i++) {
        snprintf(text, sizeof(text), "flood %d", i);
        secret_digest(&other, "t", sv_from(text), SV_EMPTY);
        auth_cache_put(&other, NULL, 1000 + i);
        kept += auth_cache_get(&other, 0, &user);
    }
    is_int(kept, 100000, "the newest of a flood is known");
    ok(auth_cache_get(&right, 99, &user) && user == &ann,
        "100000 wrong ones forget no right one");
    auth_cache_clear();
    ok(!auth_cache_get(&right, 0, &user), "all is forgotten");
    ok(auth_cache_get_old(&right) == NULL, "old ones, too");
}

/* --- time --- */

#define TRIES 100000

struct welch {
    double n, sum, squares;
};

static void
welch_add(struct welch *w, double x)
{
    w->n++;
    w->sum += x;
    w->squares += x * x;
}

static double
welch_t(const struct welch *a, const struct welch *b)
{
    double mean_a = a->sum / a->n, mean_b = b->sum / b->n;
    double var_a = (a->squares - a->n * mean_a * mean_a) / (a->n - 1);
    double var_b = (b->squares - b->n * mean_b * mean_b) / (b->n - 1);

    return (mean_a - mean_b) / sqrt(var_a / a->n + var_b / b->n);
}

/* One class against another, in random turns; outliers are cut. */
static void
compare(const char *name, const char *first, const char *second,
    const char *secret)
{
    struct welch classes[2] = {{0, 0, 0}, {0, 0, 0}};
    uint8_t turns[TRIES];
    unsigned same = 0;

    (void)sys.random(turns, sizeof(turns));
    for (unsigned i = 0; i < TRIES; i++) {
        unsigned class = turns[i] & 1;
        struct sv given = sv_from(class ? second : first);
        int64_t start = clock_mono_ns(), took;

        same += secret_is(given, secret);
        took = clock_mono_ns() - start;
        if (took < 20 * NS_PER_US)
            welch_add(&classes[class], (double)took);
    }
    diag("%-32s %8.1f ns %8.1f ns  t = %6.2f", name,
        classes[0].sum / classes[0].n, classes[1].sum / classes[1].n,
        welch_t(&classes[0], &classes[1]));
    ok(same <= TRIES, "%s was measured", name);
}

static void
test_time(void)
{
    const char *secret = "correct horse battery staple 12345";

    diag("Welch t over %d tries in all; |t| < 4.5: no difference seen",
        TRIES);
    compare("right / last byte wrong", secret,
        "correct horse battery staple 12346", secret);
    compare("first byte / last byte wrong",
        "xorrect horse battery staple 12345",
        "correct horse battery staple 1234x", secret);
    compare("half right / nothing right",
        "correct horse battxxxxxxxxxxxxxxxx",
        "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", secret);
}

int
main(void)
{
    make_hash(sha512, "$6$rounds=1000$abcdefgh$");
    make_hash(sha256, "$5$rounds=1000$abcdefgh$");
    make_hash(bcrypt, "$2b$04$abcdefghijklmnopqrstuu");
    make_hash(yescrypt, "$y$j75$abcdefghijklmnop$");
    test_good_file();
    test_bad_files();
    test_tokens();
    test_header();
    test_sites();
    test_cache();
    test_time();
    return tap_done();
}

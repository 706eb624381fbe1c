/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The file of users, as htpasswd(1) writes it, with a column more:
 *
 *     file     = *((line / comment / "") LF)
 *     comment  = "#" *byte
 *     line     = name ":" password [":" groups]
 *     name     = 1*128 of UTF-8 without controls and ":"
 *     password = hash of crypt(5) / "{PLAIN}" 1*byte (no ":")
 *     groups   = "*" / group *("," group)          default: "*"
 *     group    = a name in the table of group.c
 *
 * The file of tokens:
 *
 *     line     = token [":" groups]
 *     token    = 8*byte (no ":") / "{SHA256}" 64HEXDIG of the token
 *
 * Spaces around a line and a CR before LF do not count.  What is looked for
 * is found by keyed digests (event/secret.h), so the time of a search tells
 * nothing about what would be found.  No error repeats what a line has.
 */

#include "core/base.h"
#include "http/users.h"

#include <sys/stat.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/file.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pool.h"
#include "http/group.h"

#define TOKEN_BYTES_MIN 8
#define POOL_BYTES_MAX (32 * MIB)

struct entry {
    struct secret_digest digest;
    unsigned line;     /* for errors */
    struct user user;
};

/* Sorted by digest once finished. */
struct table {
    struct entry *entries;
    unsigned n;
    unsigned cap;
};

struct users {
    struct pool *pool;
    struct table plain;   /* by name and password */
    struct table hashed;  /* by name */
    struct table names;   /* by name: to find those that come twice */
    struct table tokens;  /* by SHA-256 */
    struct user nobody;
    bool is_finished;
};

struct users *
users_new(void)
{
    struct users *users = xcalloc(1, sizeof(*users));

    users->pool = pool_new(POOL_BYTES_MAX);
    return users;
}

static void
table_free(struct table *table)
{
    if (table->entries != NULL)
        secret_wipe(table->entries, table->cap * sizeof(*table->entries));
    xfree(table->entries);
}

void
users_free(struct users *users)
{
    if (users == NULL)
        return;
    table_free(&users->plain);
    table_free(&users->hashed);
    table_free(&users->names);
    table_free(&users->tokens);
    pool_free(users->pool);
    xfree(users);
}

static struct entry *
table_add(struct table *table)
{
    if (table->n == table->cap) {
        table->cap = MAX(2 * table->cap, 16);
        table->entries = xrealloc(table->entries,
            table->cap * sizeof(*table->entries));
    }
    memset(&table->entries[table->n], 0, sizeof(table->entries[0]));
    return &table->entries[table->n++];
}

static int
entry_compare(const void *a, const void *b)
{
    const struct entry *one = a, *other = b;

    return memcmp(one->digest.b, other->digest.b, sizeof(one->digest.b));
}

static const struct entry *
table_find(const struct table *table, const struct secret_digest *digest)
{
    struct entry wanted = {.digest = *digest};
    const struct entry *found;

    if (table->n == 0)
        return NULL;
    found = bsearch(&wanted, table->entries, table->n, sizeof(wanted),
        entry_compare);
    if (found == NULL || !secret_equal(&found->digest, digest))
        return NULL;
    return found;
}

void
users_digest(struct secret_digest *out, struct sv name, struct sv password)
{
    secret_digest(out, "basic", name, password);
}

static void
name_digest(struct secret_digest *out, struct sv name)
{
    secret_digest(out, "name", name, SV_EMPTY);
}

/* sha is SHA-256 of the token. */
static void
token_digest(struct secret_digest *out, const uint8_t *sha)
{
    secret_digest(out, "token", sv_make(sha, SECRET_SHA256_BYTES), SV_EMPTY);
}

/* --- lines --- */

/* A line of a file while it is read. */
struct line {
    struct users *users;
    const char *path;
    unsigned number;
    struct err *err;
};

static int
line_bad(const struct line *line, const char *why)
{
    return err_set(line->err, ERR_INVALID, "%s:%u: %s", line->path,
        line->number, why);
}

static bool
is_name(struct sv name)
{
    if (name.len == 0 || name.len > USERS_NAME_BYTES_MAX ||
        !sv_is_utf8(name))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        uint8_t byte = (uint8_t)name.ptr[i];

        if (byte < 0x20 || byte == 0x7f || byte == ':')
            return false;
    }
    return true;
}

/* Without a user: all groups. */
static int
line_groups(const struct line *line, struct sv text, unsigned *out)
{
    *out = GROUPS_ALL;
    if (text.ptr == NULL || groups_parse(text, out))
        return 0;
    return line_bad(line, "what follows the last ':' are groups: insert, "
        "select, internalinsert, internalselect, delete, internaldelete, "
        "admin (a plain password has no ':')");
}

static char *
keep(struct users *users, struct sv text)
{
    char *copy = pool_alloc(users->pool, text.len + 1);

    check(copy != NULL); /* files are smaller than the region */
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    return copy;
}

static unsigned
count_all(const struct users *users)
{
    return users->plain.n + users->hashed.n + users->tokens.n;
}

static void
add_plain(struct users *users, const struct user *user, struct sv password,
    unsigned line)
{
    struct entry *entry = table_add(&users->plain);

    users_digest(&entry->digest, sv_from(user->name), password);
    entry->user = *user;
    entry->line = line;
}

static int
line_password(const struct line *line, struct user *user, struct sv password)
{
    struct sv plain = SV("{PLAIN}");
    struct entry *entry;
    const char *problem;

    if (sv_starts_with(password, plain)) {
        password = sv_sub(password, plain.len, password.len);
        if (password.len == 0)
            return line_bad(line, "the password is empty");
        add_plain(line->users, user, password, line->number);
        return 0;
    }
    user->hash = keep(line->users, password);
    problem = secret_hash_problem(user->hash);
    if (problem != NULL)
        return line_bad(line, problem);
    entry = table_add(&line->users->hashed);
    name_digest(&entry->digest, sv_from(user->name));
    entry->user = *user;
    entry->line = line->number;
    return 0;
}

static int
line_user(const struct line *line, struct sv text)
{
    struct sv rest = text, name, password;
    struct user user = {NULL, 0, NULL};
    struct entry *entry;

    (void)sv_split(&rest, ':', &name);
    if (!is_name(name))
        return line_bad(line, "a line begins with the name of a user, at "
            "most 128 bytes, and ':'");
    if (!sv_split(&rest, ':', &password) || password.len == 0)
        return line_bad(line, "the user has no password");
    if (line_groups(line, rest, &user.groups) != 0)
        return -1;
    user.name = keep(line->users, name);
    entry = table_add(&line->users->names);
    name_digest(&entry->digest, name);
    entry->line = line->number;
    return line_password(line, &user, password);
}

static int
line_token(const struct line *line, struct sv text)
{
    struct sv rest = text, token, hashed = SV("{SHA256}");
    uint8_t sha[SECRET_SHA256_BYTES];
    struct entry *entry;
    unsigned allowed;
    char name[32];

    (void)sv_split(&rest, ':', &token);
    if (sv_starts_with(token, hashed)) {
        if (!enc_unhex(sv_sub(token, hashed.len, token.len), sha,
                sizeof(sha)))
            return line_bad(line, "{SHA256} is followed by 64 hexadecimal "
                "digits");
    } else if (token.len < TOKEN_BYTES_MIN) {
        return line_bad(line, "a token has 8 bytes or more");
    } else {
        secret_sha256(sha, token);
    }
    if (line_groups(line, rest, &allowed) != 0)
        return -1;
    snprintf(name, sizeof(name), "token:%u", line->number);
    entry = table_add(&line->users->tokens);
    token_digest(&entry->digest, sha);
    entry->line = line->number;
    entry->user = (struct user){keep(line->users, sv_from(name)), allowed,
        NULL};
    return 0;
}

typedef int (*line_fn)(const struct line *line, struct sv text);

static int
parse_lines(struct line *line, struct sv text, line_fn fn)
{
    struct sv part;

    while (sv_split(&text, '\n', &part)) {
        line->number++;
        if (part.len > USERS_LINE_BYTES_MAX)
            return line_bad(line, "the line is longer than 1024 bytes");
        if (part.len > 0 && part.ptr[part.len - 1] == '\r')
            part.len--;
        part = sv_trim(part);
        if (part.len == 0 || part.ptr[0] == '#')
            continue;
        if (sv_find_byte(part, '\0') != part.len)
            return line_bad(line, "the line has a zero byte");
        if (count_all(line->users) >= USERS_MAX)
            return line_bad(line, "there are 10000 users and tokens before "
                "this one");
        if (fn(line, part) != 0)
            return -1;
    }
    return 0;
}

int
users_parse(struct users *users, struct sv text, const char *path,
    struct err *err)
{
    struct line line = {users, path, 0, err};
    unsigned first = users->names.n;
    struct table *names = &users->names;

    if (parse_lines(&line, text, line_user) != 0)
        return -1;
    if (names->n == first)
        return 0;
    qsort(names->entries + first, names->n - first, sizeof(struct entry),
        entry_compare);
    for (unsigned i = first + 1; i < names->n; i++) {
        const struct entry *a = &names->entries[i - 1], *b = a + 1;

        line.number = MAX(a->line, b->line);
        if (secret_equal(&a->digest, &b->digest))
            return line_bad(&line, "the user is named before, too");
    }
    return 0;
}

int
users_parse_tokens(struct users *users, struct sv text, const char *path,
    struct err *err)
{
    struct line line = {users, path, 0, err};

    return parse_lines(&line, text, line_token);
}

int
users_add(struct users *users, struct sv name, struct sv password)
{
    struct user user = {NULL, GROUPS_ALL, NULL};

    if (!is_name(name))
        return -1;
    user.name = keep(users, name);
    add_plain(users, &user, password, 0);
    return 0;
}

static void
table_sort(struct table *table)
{
    if (table->n > 1)
        qsort(table->entries, table->n, sizeof(struct entry), entry_compare);
}

int
users_finish(struct users *users, struct err *err)
{
    check(!users->is_finished);
    if (count_all(users) == 0)
        return err_set(err, ERR_INVALID, "the files of users and tokens "
            "name nobody");
    table_sort(&users->plain);
    table_sort(&users->hashed);
    table_sort(&users->tokens);
    if (users->hashed.n > 0)
        users->nobody.hash = users->hashed.entries[0].user.hash;
    users->is_finished = true;
    return 0;
}

/* --- files --- */

static int
read_file(const char *path, struct sb *text, struct err *err)
{
    struct stat st;

    sb_init(text, USERS_FILE_BYTES_MAX);
    if (file_read_all(path, text, err) != 0)
        return -1;
    if (stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0)
        log_warn("%s can be read by every user of this machine", path);
    return 0;
}

static int
load_file(struct users *users, const char *path,
    int (*parse)(struct users *, struct sv, const char *, struct err *),
    struct err *err)
{
    struct sb text;
    int rc;

    if (path[0] == '\0')
        return 0;
    rc = read_file(path, &text, err);
    if (rc == 0)
        rc = parse(users, sb_sv(&text), path, err);
    secret_wipe(text.ptr, text.len);
    sb_release(&text);
    return rc;
}

static int
load_all(struct users *users, const struct conf *conf, struct err *err)
{
    if (conf->auth_username[0] != '\0' &&
        users_add(users, sv_from(conf->auth_username),
            sv_from(conf->auth_password)) != 0)
        return err_set(err, ERR_INVALID, "auth.username: a name has at most "
            "128 bytes, no ':' and no control bytes");
    if (load_file(users, conf->auth_users_file, users_parse, err) != 0 ||
        load_file(users, conf->auth_tokens_file, users_parse_tokens,
            err) != 0)
        return -1;
    return users_finish(users, err);
}

int
users_load(struct users **out, const struct conf *conf, struct err *err)
{
    struct users *users;

    *out = NULL;
    if (conf->auth_username[0] == '\0' && conf->auth_password[0] != '\0')
        return err_set(err, ERR_INVALID,
            "auth.password is nothing without auth.username");
    if (conf->auth_username[0] == '\0' && conf->auth_users_file[0] == '\0' &&
        conf->auth_tokens_file[0] == '\0')
        return 0;
    users = users_new();
    if (load_all(users, conf, err) != 0) {
        users_free(users);
        return -1;
    }
    *out = users;
    return 0;
}

/* --- questions --- */

bool
users_have_tokens(const struct users *users)
{
    return users->tokens.n > 0;
}

bool
users_have_names(const struct users *users)
{
    return users->plain.n > 0 || users->hashed.n > 0;
}

bool
users_are_slow(const struct users *users)
{
    return users->hashed.n > 0;
}

unsigned
users_count(const struct users *users)
{
    return count_all(users);
}

const struct user *
users_find(const struct users *users, const struct secret_digest *digest)
{
    const struct entry *entry = table_find(&users->plain, digest);

    return entry != NULL ? &entry->user : NULL;
}

const struct user *
users_find_hashed(const struct users *users, struct sv name)
{
    struct secret_digest digest;
    const struct entry *entry;

    name_digest(&digest, name);
    entry = table_find(&users->hashed, &digest);
    return entry != NULL ? &entry->user : &users->nobody;
}

bool
users_is_nobody(const struct users *users, const struct user *user)
{
    return user == &users->nobody;
}

const struct user *
users_find_token(const struct users *users, struct sv token)
{
    uint8_t sha[SECRET_SHA256_BYTES];
    struct secret_digest digest;
    const struct entry *entry;

    secret_sha256(sha, token);
    token_digest(&digest, sha);
    entry = table_find(&users->tokens, &digest);
    return entry != NULL ? &entry->user : NULL;
}

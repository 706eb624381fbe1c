/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Who may ask: the user of auth.username, those of auth.users_file and the
 * bearer tokens of auth.tokens_file.  users.c begins with the form of the
 * files.  Read by the master, which may read what children must not; children
 * inherit the memory.  Once loaded nothing changes, so any thread may ask.
 */

#ifndef SPOOR_HTTP_USERS_H
#define SPOOR_HTTP_USERS_H

#include "core/base.h"
#include "core/conf.h"
#include "core/err.h"
#include "core/sv.h"
#include "event/secret.h"

/* Lines of a file with a user or token in them. */
#define USERS_MAX 10000
#define USERS_LINE_BYTES_MAX 1024
#define USERS_FILE_BYTES_MAX (4 * MIB)
#define USERS_NAME_BYTES_MAX 128

struct users;

struct user {
    const char *name;  /* for logs: printable; "token:LINE" for tokens */
    unsigned groups;   /* CONF_GROUP_* */
    const char *hash;  /* of crypt(5); NULL: compared at once */
};

/* NULL in *out: nobody is asked who he is.  Errors name file and line. */
int users_load(struct users **out, const struct conf *conf, struct err *err)
    WARN_UNUSED;
void users_free(struct users *users); /* accepts NULL */

/* For tests: of texts, where path is what errors name. */
struct users *users_new(void);
int users_add(struct users *users, struct sv name, struct sv password)
    WARN_UNUSED;
int users_parse(struct users *users, struct sv text, const char *path,
    struct err *err) WARN_UNUSED;
int users_parse_tokens(struct users *users, struct sv text, const char *path,
    struct err *err) WARN_UNUSED;
/* After the last one was added, before the first is looked for. */
int users_finish(struct users *users, struct err *err) WARN_UNUSED;

bool users_have_tokens(const struct users *users);
bool users_have_names(const struct users *users);
/* Whether there are hashed passwords, which take long. */
bool users_are_slow(const struct users *users);
unsigned users_count(const struct users *users);

/* What a name and a password are known by. */
void users_digest(struct secret_digest *out, struct sv name,
    struct sv password);

/* NULL: wrong, or hashed.  digest is that of users_digest(). */
const struct user *users_find(const struct users *users,
    const struct secret_digest *digest);
/*
 * Whose hash has to be checked: that of the name or, so that an unknown name
 * takes as long, that of nobody, whom users_is_nobody() tells.
 */
const struct user *users_find_hashed(const struct users *users,
    struct sv name);
bool users_is_nobody(const struct users *users, const struct user *user);

/* NULL: wrong. */
const struct user *users_find_token(const struct users *users,
    struct sv token);

#endif

/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/server_options.h"

#include "cli/cli.h"
#include "core/file.h"

#define SECRET_BYTES_MAX (4 * KIB)
#define AUTHORIZATION_BYTES_MAX (16 * KIB)

const char server_options_help[] =
    "  --user NAME, --password-file FILE   for Basic authentication (NAME also\n"
    "               $SPOOR_USER, FILE also $SPOOR_PASSWORD_FILE; - is stdin)\n"
    "  --token-file FILE   a bearer token (also $SPOOR_TOKEN_FILE)\n"
    "  --tls-ca FILE    authorities (PEM) instead of the system's\n"
    "  --tls-cert FILE, --tls-key FILE   the certificate to show, its key\n"
    "  --tls-server-name NAME   what the server's certificate must name\n"
    "  --tls-insecure   believe any certificate\n";

static struct tls_client_conf tls;
static const char *user, *password_file, *token_file;
static struct sb authorization; /* empty: none */

static const struct {
    const char *name;
    const char **value;
} options[] = {
    {"--tls-ca", &tls.ca_file},
    {"--tls-cert", &tls.cert_file},
    {"--tls-key", &tls.key_file},
    {"--tls-server-name", &tls.server_name},
    {"--user", &user},
    {"--password-file", &password_file},
    {"--token-file", &token_file},
};

/* How many words of argv it is, 0: none of these, -1: it lacks a value. */
static int
take_one(char **argv)
{
    if (strcmp(argv[0], "--tls-insecure") == 0) {
        tls.is_insecure = true;
        return 1;
    }
    for (size_t i = 0; i < ARRAY_LEN(options); i++) {
        size_t len = strlen(options[i].name);

        if (strncmp(argv[0], options[i].name, len) != 0)
            continue;
        if (argv[0][len] == '=') {
            *options[i].value = argv[0] + len + 1;
            return 1;
        }
        if (argv[0][len] != '\0')
            continue;
        *options[i].value = argv[1];
        return argv[1] != NULL ? 2 : -1;
    }
    return 0;
}

static const char *
or_environment(const char *given, const char *name)
{
    const char *value = given != NULL ? given : getenv(name);

    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* The first line of a file. */
static int
secret_read(struct sb *out, const char *path, struct err *err)
{
    const char *file = strcmp(path, "-") == 0 ? "/dev/stdin" : path;

    sb_init(out, SECRET_BYTES_MAX);
    if (file_read_all(file, out, err) != 0)
        return -1;
    out->len = strcspn(out->ptr, "\r\n");
    out->ptr[out->len] = '\0';
    if (out->len == 0)
        return err_set(err, ERR_INVALID, "%s: there is nothing in its first "
            "line", path);
    return 0;
}

static int
authorization_make(struct err *err)
{
    struct sb secret, pair;
    int rc = 0;

    sb_init(&authorization, AUTHORIZATION_BYTES_MAX);
    user = or_environment(user, "SPOOR_USER");
    password_file = or_environment(password_file, "SPOOR_PASSWORD_FILE");
    token_file = or_environment(token_file, "SPOOR_TOKEN_FILE");
    if (user == NULL && password_file == NULL && token_file == NULL)
        return 0;
    if (token_file != NULL ? user != NULL || password_file != NULL
        : user == NULL || password_file == NULL)
        return err_set(err, ERR_INVALID, "either --token-file, or --user "
            "with --password-file");
    if (user != NULL && strchr(user, ':') != NULL)
        return err_set(err, ERR_INVALID, "--user: a name has no colon");
    rc = secret_read(&secret, token_file != NULL ? token_file
        : password_file, err);
    if (rc == 0 && token_file != NULL) {
        sb_addf(&authorization, "Bearer %s", secret.ptr);
    } else if (rc == 0) {
        sb_init(&pair, AUTHORIZATION_BYTES_MAX);
        sb_addf(&pair, "%s:%s", user, secret.ptr);
        sb_add_str(&authorization, "Basic ");
        sb_add_base64(&authorization, (const uint8_t *)pair.ptr, pair.len);
        sb_release(&pair);
    }
    sb_release(&secret);
    return rc;
}

int
server_options_take(int *argc, char **argv)
{
    struct err err = ERR_INIT;
    int kept = 1, i = 1;

    while (i < *argc && strcmp(argv[i], "--") != 0) {
        int words = take_one(argv + i);

        if (words < 0) {
            cli_fail("%s needs a value", argv[i]);
            return -1;
        }
        if (words == 0)
            argv[kept++] = argv[i++];
        i += words;
    }
    while (i < *argc)
        argv[kept++] = argv[i++];
    argv[kept] = NULL;
    *argc = kept;
    if (tls.key_file != NULL && tls.cert_file == NULL) {
        cli_fail("--tls-key needs --tls-cert");
        return -1;
    }
    if (tls.is_insecure)
        fprintf(stderr, "spoorctl: warning: --tls-insecure: nobody knows who "
            "the server is\n");
    http_client_set_tls(&tls);
    if (authorization_make(&err) != 0) {
        cli_fail("%s", err.text);
        return -1;
    }
    return 0;
}

int
server_connect(struct http_client **out, const char *url, int64_t timeout_ns,
    struct err *err)
{
    if (http_client_new(out, url, timeout_ns, err) != 0)
        return -1;
    if (authorization.len > 0)
        http_client_set_authorization(*out, authorization.ptr);
    return 0;
}

/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/tls_options.h"

#include "cli/cli.h"

const char tls_options_help[] =
    "  --tls-ca FILE    authorities (PEM) instead of the system's\n"
    "  --tls-cert FILE, --tls-key FILE   the certificate to show, its key\n"
    "  --tls-server-name NAME   what the server's certificate must name\n"
    "  --tls-insecure   believe any certificate\n";

static struct tls_client_conf tls;

static const struct {
    const char *name;
    const char **value;
} options[] = {
    {"--tls-ca", &tls.ca_file},
    {"--tls-cert", &tls.cert_file},
    {"--tls-key", &tls.key_file},
    {"--tls-server-name", &tls.server_name},
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

int
tls_options_take(int *argc, char **argv)
{
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
    return 0;
}

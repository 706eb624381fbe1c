/* SPDX-License-Identifier: BSD-2-Clause */

/* spoorctl send: files of OTLP requests to a server. */

#include "core/base.h"
#include "cli/cli.h"

#include <getopt.h>

#include "cli/post.h"
#include "core/file.h"

#define FILE_BYTES_MAX (1 * GIB)

static const struct option options[] = {
    {"url", required_argument, NULL, 'u'},
    {"json", no_argument, NULL, 'j'},
    {NULL, 0, NULL, 0},
};

static int
read_input(const char *path, struct sb *out, struct err *err)
{
    char buf[64 * 1024];
    size_t n;

    if (strcmp(path, "-") != 0)
        return file_read_all(path, out, err);
    while ((n = fread(buf, 1, sizeof(buf), stdin)) > 0)
        sb_add(out, buf, n);
    if (ferror(stdin))
        return err_sys(err, "standard input");
    return sb_failed(out) ? err_set(err, ERR_LIMIT, "input is too large") : 0;
}

/* JSON input may hold one request a line, as gen and collectors write it. */
static int
send_lines(struct post *post, struct sv text, unsigned *requests,
    struct err *err)
{
    struct sv line;

    if (sv_find_byte(text, '\n') < text.len &&
        !sv_starts_with(text, SV("{\"resourceSpans\""))) {
        /* Pretty-printed: one request. */
        ++*requests;
        return post_send(post, text, true, ENCODING_IDENTITY, err);
    }
    while (sv_split(&text, '\n', &line)) {
        if (sv_trim(line).len == 0)
            continue;
        ++*requests;
        if (post_send(post, line, true, ENCODING_IDENTITY, err) != 0)
            return -1;
    }
    return 0;
}

static int
send_file(struct post *post, const char *path, bool json, unsigned *requests,
    struct err *err)
{
    struct sb in;
    int rc;

    sb_init(&in, FILE_BYTES_MAX);
    rc = read_input(path, &in, err);
    if (rc == 0 && (json || sv_ends_with(sv_from(path), SV(".json")) ||
        sv_ends_with(sv_from(path), SV(".jsonl")))) {
        rc = send_lines(post, sb_sv(&in), requests, err);
    } else if (rc == 0) {
        ++*requests;
        rc = post_send(post, sb_sv(&in), false, ENCODING_IDENTITY, err);
    }
    sb_release(&in);
    return rc;
}

int
cli_send(int argc, char **argv)
{
    const char *url = NULL;
    struct err err = ERR_INIT;
    struct post *post;
    unsigned requests = 0;
    bool json = false;
    int c, rc = 0;

    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (c == 'u')
            url = optarg;
        else if (c == 'j')
            json = true;
        else
            return cli_usage("send");
    }
    if (optind == argc)
        return cli_usage("send");
    if (post_new(&post, cli_url(url), &err) != 0)
        return cli_fail("%s", err.text);
    for (int i = optind; rc == 0 && i < argc; i++) {
        rc = send_file(post, argv[i], json, &requests, &err);
        if (rc != 0)
            cli_fail("%s: %s", argv[i], err.text);
    }
    post_free(post);
    if (rc != 0)
        return CLI_ERROR;
    printf("%u requests sent\n", requests);
    return CLI_OK;
}

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

/*
 * The next JSON value of a text that holds one or several, on a line each or
 * not; false at the end.  Whether it is well-formed is the server's to say.
 */
static bool
next_value(struct sv *text, struct sv *value)
{
    bool in_string = false;
    unsigned depth = 0;
    size_t i;

    while (text->len > 0 && strchr(" \t\r\n", text->ptr[0]) != NULL &&
        text->ptr[0] != '\0')
        *text = sv_sub(*text, 1, text->len);
    for (i = 0; i < text->len; i++) {
        char c = text->ptr[i];

        if (in_string) {
            if (c == '\\')
                i++;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && --depth == 0) {
            i++;
            break;
        }
    }
    *value = sv_sub(*text, 0, i);
    *text = sv_sub(*text, i, text->len);
    return value->len != 0;
}

static int
send_json(struct post *post, struct sv text, unsigned *requests,
    struct err *err)
{
    struct sv request;

    while (next_value(&text, &request)) {
        ++*requests;
        if (post_send(post, request, true, ENCODING_IDENTITY, err) != 0)
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
    if (rc != 0) {
        cli_fail("%s", err->text);
        goto out;
    }
    if (json || sv_ends_with(sv_from(path), SV(".json")) ||
        sv_ends_with(sv_from(path), SV(".jsonl"))) {
        rc = send_json(post, sb_sv(&in), requests, err);
    } else {
        ++*requests;
        rc = post_send(post, sb_sv(&in), false, ENCODING_IDENTITY, err);
    }
    if (rc != 0)
        cli_fail("%s: %s", path, err->text);
out:
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
    for (int i = optind; rc == 0 && i < argc; i++)
        rc = send_file(post, argv[i], json, &requests, &err);
    post_free(post);
    if (rc != 0)
        return CLI_ERROR;
    printf("%u requests sent\n", requests);
    return CLI_OK;
}

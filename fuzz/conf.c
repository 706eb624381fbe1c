/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as a configuration: up to the first NUL the file, then the words
 * of the command line, each ended by a NUL.  What loads must print as
 * something that loads to the same values, and what does not must say so in
 * printable text.
 */

#include "core/base.h"

#include <sys/mman.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/conf.h"
#include "core/conf_table.h"
#include "core/conf_type.h"
#include "core/options.h"

#define WORDS_MAX 16
#define MESSAGES_MAX (1 * MIB)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int file_fd = -1;
static char file_path[64];

/* What -T writes in the place of secrets. */
static void
set_secrets(void)
{
    for (size_t i = 0; i < CONF_ROWS; i++) {
        char name[CONF_NAME_MAX];
        char *c = name;

        if (!conf_kind_is_secret(conf_rows[i].kind))
            continue;
        snprintf(name, sizeof(name), "%s", conf_rows[i].yaml);
        for (; *c != '\0'; c++)
            *c = *c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' :
                *c;
        setenv(name, "secret", 1);
    }
}

static void
write_file(const char *ptr, size_t len)
{
    if (file_fd < 0) {
        file_fd = memfd_create("fuzz-conf", MFD_CLOEXEC);
        check(file_fd >= 0);
        snprintf(file_path, sizeof(file_path), "/proc/self/fd/%d", file_fd);
        clearenv();
        setenv("SET", "a: [b", 1);
        setenv("SET_workers", "9", 1);
        set_secrets();
    }
    check(ftruncate(file_fd, 0) == 0);
    check(pwrite(file_fd, ptr, len, 0) == (ssize_t)len);
}

static void
check_printable(const struct sb *messages)
{
    check(sv_is_utf8(sb_sv(messages)));
    for (size_t i = 0; i < messages->len; i++) {
        unsigned char c = (unsigned char)messages->ptr[i];

        check(c == '\n' || (c >= 0x20 && c != 0x7f));
    }
}

static void
check_round_trip(const struct conf *conf)
{
    struct conf_source source = {.file = file_path};
    struct conf *again;
    struct sb text, messages;

    sb_init(&text, 4 * MIB);
    sb_init(&messages, MESSAGES_MAX);
    conf_print_flags(conf, &text);
    check_printable(&text);
    sb_reset(&text);
    conf_print_effective(conf, &text);
    check(!sb_failed(&text));
    /* Any value may be hidden, and is not known then. */
    if (conf->secret_flags.n > 0) {
        sb_release(&text);
        sb_release(&messages);
        return;
    }
    write_file(text.ptr, text.len);
    check(conf_load(&again, &source, &messages) == 0);
    for (size_t i = 0; i < CONF_ROWS; i++) {
        const struct conf_row *row = &conf_rows[i];

        check(conf_kind_is_secret(row->kind) || conf_type_equal(row->kind,
            (const char *)conf + row->offset,
            (const char *)again + row->offset));
    }
    conf_free(again);
    sb_release(&text);
    sb_release(&messages);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 2);
    char name[] = "spoor";
    char *words[WORDS_MAX + 1] = {name};
    struct options options;
    struct conf *conf;
    struct sb messages;
    int nwords = 1;
    size_t at;

    check(copy != NULL);
    memcpy(copy, data, size);
    memset(copy + size, 0, 2);
    for (at = strlen(copy) + 1; at < size && nwords < WORDS_MAX; nwords++) {
        words[nwords] = copy + at;
        at += strlen(copy + at) + 1;
    }
    sb_init(&messages, MESSAGES_MAX);
    write_file(copy, strlen(copy));
    if (options_parse(&options, nwords, words, &messages) == 0) {
        /* Only our own file is ever read. */
        options.source.file = file_path;
        options.source.prefix = "/prefix";
        if (conf_load(&conf, &options.source, &messages) == 0)
            check_round_trip(conf);
        else
            check(messages.len > 0);
        conf_free(conf);
    } else {
        check(messages.len > 0);
    }
    check_printable(&messages);
    options_release(&options);
    sb_release(&messages);
    free(copy);
    return 0;
}

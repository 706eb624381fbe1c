/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Lines with libedit: keys, history in $XDG_STATE_HOME/spoor/history (mode
 * 600), completion with the tabulator.
 */

#include "core/base.h"
#include "cli/shell.h"

#include <errno.h>
#include <histedit.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/text.h"
#include "core/mem.h"

#define HISTORY_LINES_MAX 2000
#define LIST_BYTES_MAX MIB

struct shell_edit {
    struct shell *shell;
    EditLine *el;
    History *history;
    char path[PATH_MAX]; /* of the history; empty: none is kept */
    bool is_continued;
};

static struct shell_edit *
edit_of(EditLine *el)
{
    void *edit = NULL;

    (void)el_get(el, EL_CLIENTDATA, &edit);
    return edit;
}

static char *
prompt(EditLine *el)
{
    static char first[] = "spoor> ", next[] = "    -> ";

    return edit_of(el)->is_continued ? next : first;
}

/* --- completion --- */

static size_t
characters(struct sv text)
{
    return text_columns(text);
}

/* What all candidates begin with. */
static struct sv
common_prefix(const struct sv *words, uint32_t n)
{
    struct sv common = words[0];

    for (uint32_t i = 1; i < n; i++) {
        size_t len = 0;

        while (len < common.len && len < words[i].len &&
            common.ptr[len] == words[i].ptr[len])
            len++;
        common.len = len;
    }
    /* Not within a character. */
    while (common.len > 0 && common.len < words[0].len &&
        ((unsigned char)words[0].ptr[common.len] & 0xc0) == 0x80)
        common.len--;
    return common;
}

static void
list_words(const struct sv *words, uint32_t n)
{
    unsigned width = cli_width(), column = 0, cell = 1;
    struct sb out;

    for (uint32_t i = 0; i < n; i++)
        cell = MAX(cell, MIN(text_columns(words[i]), 60u));
    cell += 2;
    sb_init(&out, LIST_BYTES_MAX);
    sb_add_char(&out, '\n');
    for (uint32_t i = 0; i < n; i++) {
        if (column > 0 && column + cell > width) {
            sb_add_char(&out, '\n');
            column = 0;
        }
        text_add_columns(&out, words[i], cell - 2);
        sb_add_str(&out, "  ");
        column += cell;
    }
    sb_add_char(&out, '\n');
    fwrite(out.ptr, 1, out.len, stdout);
    fflush(stdout);
    sb_release(&out);
}

static unsigned char
complete(EditLine *el, UNUSED int key)
{
    struct shell_edit *edit = edit_of(el);
    const LineInfo *info = el_line(el);
    struct sv line = sv_make(info->buffer,
        (size_t)(info->cursor - info->buffer)), common, begun;
    struct complete_place place;
    const struct sv *words;
    uint32_t n;
    char *text;

    complete_find(&place, line);
    words = complete_words(edit->shell->completer, &place, &n);
    if (n == 0)
        return CC_ERROR;
    common = common_prefix(words, n);
    begun = sv_sub(line, place.start, SIZE_MAX);
    if (n > 1 && common.len <= begun.len) {
        list_words(words, n);
        return CC_REDISPLAY;
    }
    text = xmemdup0(common.ptr, common.len);
    el_deletestr(el, (int)characters(begun));
    if (el_insertstr(el, text) == -1) {
        xfree(text);
        return CC_ERROR;
    }
    xfree(text);
    return CC_REFRESH;
}

/* --- history --- */

/* Makes the directories in front of the file. */
static bool
directories_make(char *path)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL;
        slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(path, 0700) == -1 && errno != EEXIST) {
            *slash = '/';
            return false;
        }
        *slash = '/';
    }
    return true;
}

static void
history_find(struct shell_edit *edit)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int len = 0;

    if (state != NULL && state[0] == '/')
        len = snprintf(edit->path, sizeof(edit->path), "%s/spoor/history",
            state);
    else if (home != NULL && home[0] == '/')
        len = snprintf(edit->path, sizeof(edit->path),
            "%s/.local/state/spoor/history", home);
    if (len <= 0 || (size_t)len >= sizeof(edit->path) ||
        !directories_make(edit->path))
        edit->path[0] = '\0';
}

static void
history_keep(struct shell_edit *edit)
{
    HistEvent event;
    mode_t old;

    if (edit->path[0] == '\0')
        return;
    old = umask(0177);
    history(edit->history, &event, H_SAVE, edit->path);
    umask(old);
}

/* --- */

struct shell_edit *
shell_edit_new(struct shell *shell)
{
    struct shell_edit *edit = xcalloc(1, sizeof(*edit));
    HistEvent event;

    edit->shell = shell;
    edit->history = history_init();
    edit->el = el_init("spoorctl", stdin, stdout, stderr);
    if (edit->history == NULL || edit->el == NULL) {
        shell_edit_free(edit);
        return NULL;
    }
    history(edit->history, &event, H_SETSIZE, HISTORY_LINES_MAX);
    history(edit->history, &event, H_SETUNIQUE, 1);
    history_find(edit);
    if (edit->path[0] != '\0')
        history(edit->history, &event, H_LOAD, edit->path);
    el_set(edit->el, EL_CLIENTDATA, edit);
    el_set(edit->el, EL_PROMPT, prompt);
    el_set(edit->el, EL_EDITOR, "emacs");
    el_set(edit->el, EL_HIST, history, edit->history);
    el_set(edit->el, EL_ADDFN, "spoor-complete", "complete", complete);
    el_set(edit->el, EL_BIND, "^I", "spoor-complete", (char *)NULL);
    el_set(edit->el, EL_BIND, "^R", "em-inc-search-prev", (char *)NULL);
    el_source(edit->el, NULL);
    return edit;
}

void
shell_edit_free(struct shell_edit *edit)
{
    if (edit->el != NULL)
        el_end(edit->el);
    if (edit->history != NULL) {
        history_keep(edit);
        history_end(edit->history);
    }
    xfree(edit);
}

const char *
shell_edit_line(struct shell_edit *edit, bool *is_continued)
{
    const char *line;
    HistEvent event;
    int n;

    edit->is_continued = *is_continued;
    for (;;) {
        shell_interrupted = 0;
        line = el_gets(edit->el, &n);
        if (line != NULL)
            break;
        if (!shell_interrupted && n != -1)
            return NULL;
        /* Ctrl-C gives up the line. */
        if (!shell_interrupted)
            return NULL;
        putchar('\n');
        el_reset(edit->el);
        edit->is_continued = *is_continued = false;
    }
    if (text_strip(sv_from(line)).len > 0)
        history(edit->history, &event, H_ENTER, line);
    return line;
}

/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Writing files of OTLP requests.  Compressed files are a row of gzip members
 * or zstd frames of about a MiB of content, so that a file can be cut back to
 * any of them and be written on.
 */

#include "core/base.h"
#include "cli/otlp_file.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/assert.h"
#include "core/file.h"
#include "core/mem.h"
#include "otlp/otlp_encode.h"

/* Content of one member or frame. */
#define CHUNK_BYTES MIB
/* Of one request: readers hold it in memory, and its JSON is three times it. */
#define REQUEST_SPANS 1000u
#define REQUEST_BYTES (2 * MIB)
/* One span has 2 MiB, its resource and scope as much again; as JSON. */
#define PENDING_BYTES_MAX (256 * MIB)
#define ZSTD_LEVEL 3
#define GZIP_LEVEL 6

struct otlp_out {
    struct otlp_out_conf conf;
    int fd;
    uint32_t file;
    uint64_t bytes;     /* in the present file */
    uint64_t all_bytes; /* in those before it, of this run */
    uint64_t spans;
    struct sb pending;
    struct sb encoded;
    char path[PATH_MAX];
};

/* --- names --- */

static enum encoding
name_encoding(struct sv *name)
{
    if (sv_ends_with(*name, SV(".gz"))) {
        name->len -= 3;
        return ENCODING_GZIP;
    }
    if (sv_ends_with(*name, SV(".zst"))) {
        name->len -= 4;
        return ENCODING_ZSTD;
    }
    return ENCODING_IDENTITY;
}

void
otlp_name_form(const char *path, enum otlp_format *format,
    enum encoding *encoding)
{
    struct sv name = sv_from(path);

    *encoding = name_encoding(&name);
    *format = sv_ends_with(name, SV(".pb")) ||
        sv_ends_with(name, SV(".proto")) || sv_ends_with(name, SV(".otlp"))
        ? OTLP_PROTOBUF : OTLP_JSON;
}

/* "dir/a.jsonl.zst" and 2: "dir/a-00002.jsonl.zst". */
static int
file_path(struct otlp_out *out, struct err *err)
{
    const char *path = out->conf.path;
    const char *slash = strrchr(path, '/');
    const char *base = slash == NULL ? path : slash + 1;
    const char *dot = strchr(base, '.');
    size_t stem = dot == NULL ? strlen(path) : (size_t)(dot - path);
    int n;

    if (out->conf.split_bytes == 0)
        n = snprintf(out->path, PATH_MAX, "%s", path);
    else
        n = snprintf(out->path, PATH_MAX, "%.*s-%05u%s", (int)stem, path,
            out->file, path + stem);
    if (n < 0 || n >= PATH_MAX)
        return err_set(err, ERR_INVALID, "the name of the file is too long");
    return 0;
}

/* --- files --- */

static bool
is_stdout(const struct otlp_out *out)
{
    return strcmp(out->conf.path, "-") == 0;
}

static int
file_begin(struct otlp_out *out, struct err *err)
{
    if (is_stdout(out))
        return 0;
    if (file_path(out, err) != 0)
        return -1;
    out->bytes = 0;
    out->fd = file_open(out->path, O_WRONLY | O_CREAT | O_EXCL, 0644, err);
    if (out->fd < 0 && err->sys_errno == EEXIST)
        return err_set(err, ERR_INVALID, "%s is there already: another name, "
            "or --resume", out->path);
    return out->fd < 0 ? -1 : 0;
}

/* Files of the interrupted run behind the mark are written anew. */
static int
remove_later(struct otlp_out *out, struct err *err)
{
    uint32_t file = out->file;
    int rc = 0;

    if (out->conf.split_bytes == 0)
        return 0;
    for (;;) {
        out->file++;
        if (file_path(out, err) != 0)
            return -1;
        if (access(out->path, F_OK) != 0)
            break;
        rc = file_unlink(out->path, err);
        if (rc != 0)
            return -1;
    }
    out->file = file;
    return file_path(out, err);
}

static int
file_resume(struct otlp_out *out, const struct otlp_mark *mark,
    struct err *err)
{
    uint64_t bytes;

    out->file = mark->file;
    out->spans = mark->spans;
    if (remove_later(out, err) != 0 || file_path(out, err) != 0)
        return -1;
    out->fd = file_open(out->path, O_WRONLY, 0, err);
    if (out->fd < 0 || file_size(out->fd, &bytes, err) != 0)
        return -1;
    if (bytes < mark->bytes)
        return err_set(err, ERR_INVALID, "%s is shorter than when the export "
            "was interrupted", out->path);
    if (ftruncate(out->fd, (off_t)mark->bytes) != 0)
        return err_sys(err, "%s: cut", out->path);
    out->bytes = mark->bytes;
    return 0;
}

static int
file_add(struct otlp_out *out, struct sv bytes, struct err *err)
{
    if (is_stdout(out)) {
        if (fwrite(bytes.ptr, 1, bytes.len, stdout) != bytes.len)
            return err_sys(err, "standard output");
    } else if (file_pwrite(out->fd, bytes.ptr, bytes.len, out->bytes,
        err) != 0) {
        return -1;
    }
    out->bytes += bytes.len;
    return 0;
}

int
otlp_out_open(struct otlp_out **result, const struct otlp_out_conf *conf,
    const struct otlp_mark *mark, struct err *err)
{
    struct otlp_out *out = xcalloc(1, sizeof(*out));

    out->conf = *conf;
    out->fd = -1;
    out->file = 1;
    sb_init(&out->pending, PENDING_BYTES_MAX);
    sb_init(&out->encoded, PENDING_BYTES_MAX);
    if ((mark == NULL ? file_begin(out, err)
        : file_resume(out, mark, err)) != 0) {
        otlp_out_free(out);
        return -1;
    }
    *result = out;
    return 0;
}

void
otlp_out_free(struct otlp_out *out)
{
    if (out == NULL)
        return;
    file_close(out->fd);
    sb_release(&out->pending);
    sb_release(&out->encoded);
    xfree(out);
}

/* --- requests --- */

static int
chunk_write(struct otlp_out *out, struct err *err)
{
    int level = out->conf.encoding == ENCODING_ZSTD ? ZSTD_LEVEL : GZIP_LEVEL;
    struct sv bytes = sb_sv(&out->pending);
    int rc;

    if (sb_failed(&out->pending))
        return err_set(err, ERR_LIMIT, "a request is too large");
    if (bytes.len == 0)
        return 0;
    if (out->conf.encoding != ENCODING_IDENTITY) {
        sb_reset(&out->encoded);
        if (compress_append(out->conf.encoding, bytes, level, &out->encoded,
            err) != 0)
            return -1;
        bytes = sb_sv(&out->encoded);
    }
    rc = file_add(out, bytes, err);
    sb_reset(&out->pending);
    return rc;
}

static int
file_next(struct otlp_out *out, struct err *err)
{
    if (is_stdout(out))
        return 0;
    if (file_datasync(out->fd, err) != 0)
        return -1;
    file_close(out->fd);
    out->all_bytes += out->bytes;
    out->file++;
    return file_begin(out, err);
}

static void
put_request(struct otlp_out *out, const struct batch *batch)
{
    size_t at = out->pending.len;
    uint32_t len;

    if (out->conf.format == OTLP_JSON) {
        otlp_encode_json(batch, &out->pending);
        sb_add_char(&out->pending, '\n');
        return;
    }
    sb_add(&out->pending, "\0\0\0\0", 4);
    otlp_encode_protobuf(batch, &out->pending);
    if (sb_failed(&out->pending))
        return;
    len = __builtin_bswap32((uint32_t)(out->pending.len - at - 4));
    memcpy(out->pending.ptr + at, &len, sizeof(len));
}

/* How many spans from `from` on make the next request. */
static uint32_t
request_spans(const struct batch *batch, uint32_t from)
{
    size_t bytes = 0;
    uint32_t n = 0;

    while (from + n < batch->nspans && n < REQUEST_SPANS &&
        (n == 0 || bytes < REQUEST_BYTES))
        bytes += otlp_span_size(&batch->spans[from + n++]);
    return n;
}

int
otlp_out_batch(struct otlp_out *out, const struct batch *batch,
    struct err *err)
{
    for (uint32_t from = 0, n; from < batch->nspans; from += n) {
        struct batch piece = *batch;

        n = request_spans(batch, from);
        piece.spans += from;
        piece.nspans = n;
        put_request(out, &piece);
        out->spans += n;
        if (out->pending.len < CHUNK_BYTES && !sb_failed(&out->pending))
            continue;
        if (chunk_write(out, err) != 0)
            return -1;
        if (out->conf.split_bytes > 0 && out->bytes >= out->conf.split_bytes
            && file_next(out, err) != 0)
            return -1;
    }
    return 0;
}

int
otlp_out_sync(struct otlp_out *out, struct otlp_mark *mark, struct err *err)
{
    if (chunk_write(out, err) != 0)
        return -1;
    if (is_stdout(out)) {
        if (fflush(stdout) != 0)
            return err_sys(err, "standard output");
    } else if (file_datasync(out->fd, err) != 0) {
        return -1;
    }
    *mark = (struct otlp_mark){out->file, out->bytes, out->spans};
    return 0;
}

uint64_t
otlp_out_spans(const struct otlp_out *out)
{
    return out->spans;
}

uint64_t
otlp_out_bytes(const struct otlp_out *out)
{
    return out->all_bytes + out->bytes;
}

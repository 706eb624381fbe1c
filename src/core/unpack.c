/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "core/file.h"
#include "core/mem.h"
#include "core/sys.h"

/* Bytes read from the file at a time. */
#define UNPACK_IN_BYTES (256 * KIB)
/* Memory that a zstd frame may ask for its window: 2^27 = 128 MiB (--long). */
#define UNPACK_WINDOW_LOG_MAX 27
/* zlib: the largest window, gzip format. */
#define UNPACK_GZIP_BITS (15 + 16)

enum unpack_form { UNPACK_UNKNOWN, UNPACK_PLAIN, UNPACK_GZIP, UNPACK_ZSTD };

struct unpack {
    int fd;
    bool is_stdin;
    bool is_end;    /* of the file */
    bool is_whole;  /* between members or frames */
    enum unpack_form form;
    z_stream gzip;
    ZSTD_DStream *zstd;
    char *path;
    size_t len;
    size_t pos;
    uint8_t in[UNPACK_IN_BYTES];
};

int
unpack_open(struct unpack **out, const char *path, struct err *err)
{
    struct unpack *unpack = xcalloc(1, sizeof(*unpack));

    unpack->is_stdin = strcmp(path, "-") == 0;
    unpack->path = xstrdup(unpack->is_stdin ? "standard input" : path);
    unpack->fd = unpack->is_stdin ? STDIN_FILENO
        : file_open(path, O_RDONLY, 0, err);
    if (unpack->fd < 0) {
        unpack_close(unpack);
        return -1;
    }
    *out = unpack;
    return 0;
}

void
unpack_close(struct unpack *unpack)
{
    if (unpack == NULL)
        return;
    if (!unpack->is_stdin)
        file_close(unpack->fd);
    if (unpack->form == UNPACK_GZIP)
        inflateEnd(&unpack->gzip);
    ZSTD_freeDStream(unpack->zstd);
    xfree(unpack->path);
    xfree(unpack);
}

/* More bytes of the file behind those that are not used yet. */
static int
fill(struct unpack *unpack, struct err *err)
{
    ssize_t n;

    if (unpack->pos > 0) {
        unpack->len -= unpack->pos;
        memmove(unpack->in, unpack->in + unpack->pos, unpack->len);
        unpack->pos = 0;
    }
    do
        n = sys.read(unpack->fd, unpack->in + unpack->len,
            UNPACK_IN_BYTES - unpack->len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(err, "%s: read", unpack->path);
    unpack->len += (size_t)n;
    unpack->is_end = n == 0;
    return 0;
}

static int
recognise(struct unpack *unpack, struct err *err)
{
    static const uint8_t zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    static const uint8_t gzip[] = {0x1f, 0x8b};

    while (unpack->len < sizeof(zstd) && !unpack->is_end) {
        if (fill(unpack, err) != 0)
            return -1;
    }
    unpack->is_whole = true;
    unpack->form = UNPACK_PLAIN;
    if (unpack->len >= sizeof(zstd) &&
        memcmp(unpack->in, zstd, sizeof(zstd)) == 0) {
        unpack->zstd = ZSTD_createDStream();
        if (unpack->zstd == NULL)
            return err_set(err, ERR_LIMIT, "zstd: out of memory");
        ZSTD_DCtx_setParameter(unpack->zstd, ZSTD_d_windowLogMax,
            UNPACK_WINDOW_LOG_MAX);
        unpack->form = UNPACK_ZSTD;
    } else if (unpack->len >= sizeof(gzip) &&
        memcmp(unpack->in, gzip, sizeof(gzip)) == 0) {
        if (inflateInit2(&unpack->gzip, UNPACK_GZIP_BITS) != Z_OK)
            return err_set(err, ERR_LIMIT, "gzip: out of memory");
        unpack->form = UNPACK_GZIP;
    }
    return 0;
}

static int
zstd_step(struct unpack *unpack, void *dst, size_t len, size_t *got,
    struct err *err)
{
    ZSTD_inBuffer in = {unpack->in, unpack->len, unpack->pos};
    ZSTD_outBuffer out = {dst, len, 0};
    size_t rc = ZSTD_decompressStream(unpack->zstd, &out, &in);

    if (ZSTD_isError(rc))
        return err_set(err, ERR_INVALID, "%s: zstd: %s", unpack->path,
            ZSTD_getErrorName(rc));
    unpack->pos = in.pos;
    unpack->is_whole = rc == 0;
    *got = out.pos;
    return 0;
}

static int
gzip_step(struct unpack *unpack, void *dst, size_t len, size_t *got,
    struct err *err)
{
    z_stream *z = &unpack->gzip;
    int rc;

    /* Another member behind the end of one. */
    if (unpack->is_whole && z->total_in > 0)
        inflateReset(z);
    z->next_in = unpack->in + unpack->pos;
    z->avail_in = (uInt)(unpack->len - unpack->pos);
    z->next_out = dst;
    z->avail_out = (uInt)len;
    rc = inflate(z, Z_NO_FLUSH);
    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR)
        return err_set(err, ERR_INVALID, "%s: damaged gzip data",
            unpack->path);
    unpack->pos = unpack->len - z->avail_in;
    unpack->is_whole = rc == Z_STREAM_END;
    *got = len - z->avail_out;
    return 0;
}

static int
plain_step(struct unpack *unpack, void *dst, size_t len, size_t *got)
{
    *got = MIN(len, unpack->len - unpack->pos);
    memcpy(dst, unpack->in + unpack->pos, *got);
    unpack->pos += *got;
    return 0;
}

static int
step(struct unpack *unpack, void *dst, size_t len, size_t *got,
    struct err *err)
{
    switch (unpack->form) {
    case UNPACK_ZSTD:
        return zstd_step(unpack, dst, len, got, err);
    case UNPACK_GZIP:
        return gzip_step(unpack, dst, len, got, err);
    default:
        return plain_step(unpack, dst, len, got);
    }
}

int
unpack_read(struct unpack *unpack, void *dst, size_t len, size_t *got,
    struct err *err)
{
    *got = 0;
    len = MIN(len, (size_t)INT_MAX);
    if (unpack->form == UNPACK_UNKNOWN && recognise(unpack, err) != 0)
        return -1;
    while (*got == 0 && len > 0) {
        bool has_more = unpack->pos < unpack->len;

        if (!has_more && !unpack->is_end) {
            if (fill(unpack, err) != 0)
                return -1;
            continue;
        }
        if (!has_more && unpack->is_whole)
            return 0;
        if (step(unpack, dst, len, got, err) != 0)
            return -1;
        /* The decoder may still hold bytes when the file has no more. */
        if (*got == 0 && !has_more && !unpack->is_whole)
            return err_set(err, ERR_INVALID, "%s: compressed data ends "
                "early", unpack->path);
    }
    return 0;
}

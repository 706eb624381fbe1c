/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/compress.h"

#include <libdeflate.h>
#include <pthread.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "core/assert.h"
#include "core/enc.h"
#include "core/mem.h"
#include "core/snappy.h"

/* Output grows in steps of at least this. */
#define OUTPUT_STEP (16 * KIB)

/*
 * Data that promises no more than this, and no more than this many times its
 * size, is decoded at once into memory of that size.
 */
#define WHOLE_MAX (4 * MIB)
#define WHOLE_RATIO 64

/* Memory that a zstd frame may ask for its window: 2^23 = 8 MiB. */
#define ZSTD_WINDOW_LOG_MAX 23

/* What zlib adds to windowBits for the gzip format. */
#define ZLIB_WINDOW 15
#define ZLIB_GZIP 16

/* Contexts are large and slow to make, so a thread keeps its own. */
struct compress_thread {
    z_stream inflate;
    bool has_inflate;
    struct libdeflate_decompressor *decompressor;
    struct libdeflate_compressor *compressor;
    int compressor_level;
    ZSTD_DCtx *zstd_in;
    ZSTD_CCtx *zstd_out;
};

static pthread_key_t compress_key;
static pthread_once_t compress_once = PTHREAD_ONCE_INIT;

static void
thread_free(void *arg)
{
    struct compress_thread *thread = arg;

    if (thread->has_inflate)
        inflateEnd(&thread->inflate);
    libdeflate_free_decompressor(thread->decompressor);
    libdeflate_free_compressor(thread->compressor);
    ZSTD_freeDCtx(thread->zstd_in);
    ZSTD_freeCCtx(thread->zstd_out);
    xfree(thread);
}

static void
thread_free_main(void)
{
    /* A key's destructor does not run for the thread that calls exit(). */
    void *thread = pthread_getspecific(compress_key);

    if (thread != NULL) {
        pthread_setspecific(compress_key, NULL);
        thread_free(thread);
    }
}

static void
make_key(void)
{
    check(pthread_key_create(&compress_key, thread_free) == 0);
    atexit(thread_free_main);
}

static struct compress_thread *
thread_contexts(void)
{
    struct compress_thread *thread;

    pthread_once(&compress_once, make_key);
    thread = pthread_getspecific(compress_key);
    if (thread == NULL) {
        thread = xcalloc(1, sizeof(*thread));
        check(pthread_setspecific(compress_key, thread) == 0);
    }
    return thread;
}

/* --- names --- */

static const struct sv encoding_names[ENCODING_COUNT] = {
    [ENCODING_IDENTITY] = {"identity", 8},
    [ENCODING_GZIP] = {"gzip", 4},
    [ENCODING_DEFLATE] = {"deflate", 7},
    [ENCODING_ZSTD] = {"zstd", 4},
    [ENCODING_SNAPPY] = {"snappy", 6},
};

bool
encoding_from_name(struct sv name, enum encoding *out)
{
    name = sv_trim(name);
    if (name.len == 0 || sv_eq_nocase(name, SV("none"))) {
        *out = ENCODING_IDENTITY;
        return true;
    }
    if (sv_eq_nocase(name, SV("x-gzip"))) {
        *out = ENCODING_GZIP;
        return true;
    }
    if (sv_eq_nocase(name, SV("zlib"))) {
        *out = ENCODING_DEFLATE;
        return true;
    }
    if (sv_eq_nocase(name, SV("x-snappy-framed"))) {
        *out = ENCODING_SNAPPY;
        return true;
    }
    for (unsigned i = 0; i < ENCODING_COUNT; i++) {
        if (sv_eq_nocase(name, encoding_names[i])) {
            *out = (enum encoding)i;
            return true;
        }
    }
    return false;
}

const char *
encoding_name(enum encoding encoding)
{
    check(encoding < ENCODING_COUNT);
    return encoding_names[encoding].ptr;
}

/* --- output that grows as bytes arrive --- */

/* Where a decoder writes to, and how much it may write in all. */
struct output {
    struct sb *sb;
    size_t bytes_max;
};

/*
 * Room for the next step of a decoder.  When the maximum is reached the room
 * is one byte of scratch: a decoder that fills it has more to give.
 */
struct room {
    char *ptr;
    size_t len;
    bool is_scratch;
    char scratch;
};

static int
room_make(struct room *room, const struct output *to, struct err *err)
{
    struct sb *sb = to->sb;
    size_t left = to->bytes_max - sb->len;

    room->is_scratch = left == 0;
    if (left == 0) {
        room->ptr = &room->scratch;
        room->len = 1;
        return 0;
    }
    room->len = MAX(OUTPUT_STEP, MAX(sb->len, sb->cap - sb->len));
    room->len = MIN(room->len, left);
    room->ptr = sb_reserve(sb, room->len);
    if (room->ptr == NULL)
        return err_set(err, ERR_LIMIT, "out of memory for %zu bytes",
            sb->len + room->len);
    return 0;
}

static int
room_used(const struct room *room, size_t n, const struct output *to,
    struct err *err)
{
    if (!room->is_scratch)
        sb_advance(to->sb, n);
    else if (n > 0)
        return err_set(err, ERR_LIMIT, "more than %zu bytes when decoded",
            to->bytes_max);
    return 0;
}

/* --- gzip and deflate --- */

static int
zlib_start(struct compress_thread *thread, int window_bits, struct err *err)
{
    int rc;

    if (thread->has_inflate) {
        rc = inflateReset2(&thread->inflate, window_bits);
    } else {
        rc = inflateInit2(&thread->inflate, window_bits);
        thread->has_inflate = rc == Z_OK;
    }
    if (rc != Z_OK)
        return err_set(err, ERR_LIMIT, "inflate: out of memory");
    return 0;
}

/*
 * Decodes src with the started stream.  With many, another member may follow
 * the end of one.
 */
static int
zlib_run(z_stream *z, struct sv src, bool many, const struct output *to,
    struct err *err)
{
    int rc = Z_OK;

    if (src.len > UINT_MAX)
        return err_set(err, ERR_LIMIT, "inflate: too much input");
    z->next_in = (Bytef *)(uintptr_t)src.ptr;
    z->avail_in = (uInt)src.len;
    while (rc != Z_STREAM_END) {
        struct room room;
        size_t used;

        if (room_make(&room, to, err) != 0)
            return -1;
        room.len = MIN(room.len, UINT_MAX);
        z->next_out = (Bytef *)room.ptr;
        z->avail_out = (uInt)room.len;
        rc = inflate(z, Z_NO_FLUSH);
        used = room.len - z->avail_out;
        if (room_used(&room, used, to, err) != 0)
            return -1;
        if (rc == Z_STREAM_END && many && z->avail_in > 0) {
            rc = inflateReset(z);
            continue;
        }
        if (rc == Z_MEM_ERROR)
            return err_set(err, ERR_LIMIT, "inflate: out of memory");
        if (rc == Z_BUF_ERROR || (rc == Z_OK && z->avail_in == 0
            && z->avail_out > 0))
            return err_set(err, ERR_INVALID, "compressed data ends early");
        if (rc != Z_OK && rc != Z_STREAM_END)
            return err_set(err, ERR_INVALID, "damaged compressed data (%s)",
                z->msg != NULL ? z->msg : "no zlib format");
    }
    if (z->avail_in > 0)
        return err_set(err, ERR_INVALID, "%u bytes behind the compressed "
            "data", z->avail_in);
    return 0;
}

/*
 * The fast way for one member of moderate size.  False: decode it by steps
 * (which also finds out what is wrong with it).
 */
static bool
gzip_whole(struct compress_thread *thread, struct sv src,
    const struct output *to)
{
    size_t promised, taken, len;
    char *dst;

    if (src.len < 18)
        return false;
    promised = enc_get32(src.ptr + src.len - 4);
    if (promised > MIN(to->bytes_max, WHOLE_MAX)
        || promised / WHOLE_RATIO > src.len)
        return false;
    if (thread->decompressor == NULL)
        thread->decompressor = libdeflate_alloc_decompressor();
    dst = sb_reserve(to->sb, MAX(promised, 1));
    if (dst == NULL || thread->decompressor == NULL)
        return false;
    if (libdeflate_gzip_decompress_ex(thread->decompressor, src.ptr, src.len,
        dst, promised, &taken, &len) != LIBDEFLATE_SUCCESS
        || taken != src.len)
        return false;
    sb_advance(to->sb, len);
    return true;
}

static int
gzip_decode(struct sv src, const struct output *to, struct err *err)
{
    struct compress_thread *thread = thread_contexts();

    if (gzip_whole(thread, src, to))
        return 0;
    sb_reset(to->sb);
    if (zlib_start(thread, ZLIB_WINDOW + ZLIB_GZIP, err) != 0
        || zlib_run(&thread->inflate, src, true, to, err) != 0)
        return err_wrap(err, "gzip");
    return 0;
}

static int
deflate_decode(struct sv src, const struct output *to, struct err *err)
{
    struct compress_thread *thread = thread_contexts();
    bool is_zlib = src.len >= 2 && (src.ptr[0] & 15) == 8
        && ((unsigned char)src.ptr[0] << 8 | (unsigned char)src.ptr[1]) % 31
        == 0;

    /* Some clients send raw deflate, and it may look like a zlib header. */
    if (is_zlib) {
        if (zlib_start(thread, ZLIB_WINDOW, err) != 0)
            return -1;
        if (zlib_run(&thread->inflate, src, false, to, err) == 0)
            return 0;
        if (thread->inflate.total_out > 0)
            return err_wrap(err, "deflate");
        sb_reset(to->sb);
    }
    if (zlib_start(thread, -ZLIB_WINDOW, err) != 0
        || zlib_run(&thread->inflate, src, false, to, err) != 0)
        return err_wrap(err, "deflate");
    return 0;
}

/* --- zstd --- */

static int
zstd_failed(size_t rc, struct err *err)
{
    if (ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge)
        return err_set(err, ERR_LIMIT, "zstd: the window is over %u MiB",
            1u << (ZSTD_WINDOW_LOG_MAX - 20));
    return err_set(err, ERR_INVALID, "zstd: %s", ZSTD_getErrorName(rc));
}

/*
 * Room for the whole frame, if it names its size and the size is plausible:
 * the decoder then needs no window of its own.
 */
static void
zstd_reserve(struct sv src, const struct output *to)
{
    unsigned long long promised = ZSTD_getFrameContentSize(src.ptr, src.len);

    if (promised <= MIN(to->bytes_max, WHOLE_MAX)
        && promised / WHOLE_RATIO <= src.len
        && sb_reserve(to->sb, (size_t)promised) == NULL)
        sb_reset(to->sb);
}

static int
zstd_decode(struct sv src, const struct output *to, struct err *err)
{
    struct compress_thread *thread = thread_contexts();
    ZSTD_inBuffer in = {src.ptr, src.len, 0};
    size_t rc = 1;

    if (thread->zstd_in == NULL)
        thread->zstd_in = ZSTD_createDCtx();
    if (thread->zstd_in == NULL)
        return err_set(err, ERR_LIMIT, "zstd: out of memory");
    ZSTD_DCtx_reset(thread->zstd_in, ZSTD_reset_session_only);
    ZSTD_DCtx_setParameter(thread->zstd_in, ZSTD_d_windowLogMax,
        ZSTD_WINDOW_LOG_MAX);
    zstd_reserve(src, to);

    /* 0 from the decoder: a frame is complete and all of it was given out. */
    while (rc != 0 || in.pos < in.size) {
        size_t taken = in.pos;
        ZSTD_outBuffer piece = {NULL, 0, 0};
        struct room room;

        if (room_make(&room, to, err) != 0)
            return err_wrap(err, "zstd");
        piece.dst = room.ptr;
        piece.size = room.len;
        rc = ZSTD_decompressStream(thread->zstd_in, &piece, &in);
        if (ZSTD_isError(rc))
            return zstd_failed(rc, err);
        if (room_used(&room, piece.pos, to, err) != 0)
            return err_wrap(err, "zstd");
        if (rc != 0 && in.pos == in.size && in.pos == taken
            && piece.pos == 0)
            return err_set(err, ERR_INVALID, "zstd: data ends early");
    }
    return 0;
}

static int
decode(enum encoding encoding, struct sv src, const struct output *to,
    struct err *err)
{
    switch (encoding) {
    case ENCODING_IDENTITY:
        if (src.len > to->bytes_max)
            return err_set(err, ERR_LIMIT, "more than %zu bytes",
                to->bytes_max);
        sb_add_sv(to->sb, src);
        return sb_failed(to->sb)
            ? err_set(err, ERR_LIMIT, "out of memory") : 0;
    case ENCODING_GZIP:
        return gzip_decode(src, to, err);
    case ENCODING_DEFLATE:
        return deflate_decode(src, to, err);
    case ENCODING_ZSTD:
        return zstd_decode(src, to, err);
    case ENCODING_SNAPPY:
        return snappy_decode(src, to->bytes_max, to->sb, err);
    case ENCODING_COUNT:
        break;
    }
    panic("encoding %d", (int)encoding);
}

int
decompress(enum encoding encoding, struct sv src, size_t bytes_max,
    struct sb *out, struct err *err)
{
    struct output to = {out, MIN(bytes_max, out->max)};
    size_t max = out->max;
    int rc;

    /* The builder must not double its memory beyond what is allowed here. */
    sb_reset(out);
    out->max = to.bytes_max;
    rc = decode(encoding, src, &to, err);
    out->max = max;
    return rc;
}

/* --- encoders --- */

static int
deflate_append(bool gzip, struct sv src, int level, struct sb *out,
    struct err *err)
{
    struct compress_thread *thread = thread_contexts();
    struct libdeflate_compressor *c;
    size_t bound, len;
    char *dst;

    level = MAX(1, MIN(level, 12));
    if (thread->compressor != NULL && thread->compressor_level != level) {
        libdeflate_free_compressor(thread->compressor);
        thread->compressor = NULL;
    }
    if (thread->compressor == NULL) {
        thread->compressor = libdeflate_alloc_compressor(level);
        thread->compressor_level = level;
    }
    c = thread->compressor;
    if (c == NULL)
        return err_set(err, ERR_LIMIT, "deflate: out of memory");
    bound = gzip ? libdeflate_gzip_compress_bound(c, src.len)
        : libdeflate_zlib_compress_bound(c, src.len);
    dst = sb_reserve(out, bound);
    if (dst == NULL)
        return err_set(err, ERR_LIMIT, "deflate: out of memory");
    len = gzip ? libdeflate_gzip_compress(c, src.ptr, src.len, dst, bound)
        : libdeflate_zlib_compress(c, src.ptr, src.len, dst, bound);
    check(len > 0);
    sb_advance(out, len);
    return 0;
}

static int
zstd_append(struct sv src, int level, struct sb *out, struct err *err)
{
    struct compress_thread *thread = thread_contexts();
    size_t bound = ZSTD_compressBound(src.len), len;
    char *dst = sb_reserve(out, bound);

    if (thread->zstd_out == NULL)
        thread->zstd_out = ZSTD_createCCtx();
    if (dst == NULL || thread->zstd_out == NULL)
        return err_set(err, ERR_LIMIT, "zstd: out of memory");
    len = ZSTD_compressCCtx(thread->zstd_out, dst, bound, src.ptr, src.len,
        level);
    if (ZSTD_isError(len))
        return err_set(err, ERR_SYSTEM, "zstd: %s", ZSTD_getErrorName(len));
    sb_advance(out, len);
    return 0;
}

int
compress_append(enum encoding encoding, struct sv src, int level,
    struct sb *out, struct err *err)
{
    switch (encoding) {
    case ENCODING_IDENTITY:
        sb_add_sv(out, src);
        return sb_failed(out)
            ? err_set(err, ERR_LIMIT, "out of memory") : 0;
    case ENCODING_GZIP:
        return deflate_append(true, src, level, out, err);
    case ENCODING_DEFLATE:
        return deflate_append(false, src, level, out, err);
    case ENCODING_ZSTD:
        return zstd_append(src, level, out, err);
    case ENCODING_SNAPPY:
        return snappy_encode(src, out, err);
    case ENCODING_COUNT:
        break;
    }
    panic("encoding %d", (int)encoding);
}

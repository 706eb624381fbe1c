/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * HTTP/1.x messages as bytes (RFC 9112), strictly: what two readers could
 * understand differently is refused.  Pure functions without a socket and
 * without memory of their own.  Bytes may be fed in any slices; the outcome
 * is that of feeding them at once.
 */

#ifndef SPOOR_HTTP_H1_PARSE_H
#define SPOOR_HTTP_H1_PARSE_H

#include "core/base.h"
#include "core/sv.h"
#include "http/http.h"

enum h1_result { H1_MORE, H1_DONE, H1_ERROR };

/* A piece of the head's buffer; a head is at most HTTP_HEAD_BYTES_MAX long. */
struct h1_span {
    uint16_t from;
    uint16_t len;
};
_Static_assert(HTTP_HEAD_BYTES_MAX <= UINT16_MAX, "h1_span holds 16 bits");

struct h1_field {
    struct h1_span name; /* lower-cased in the buffer */
    struct h1_span value;
};

/* A length that no body reaches: the digits of Content-Length overflowed. */
#define H1_LENGTH_HUGE UINT64_MAX

/*
 * The head of a message.  After H1_DONE everything below "private" is valid
 * and refers to the first `bytes` bytes of the buffer.  After H1_ERROR only
 * error_status and error are, and method and target as far as they were seen.
 */
struct h1_head {
    uint8_t state;      /* private */
    bool is_response;   /* private */
    bool skipped_blank; /* private */
    size_t line;        /* private: where the line being read begins */
    size_t scanned;     /* private: no line end before this */

    int error_status;   /* 400, 414, 417, 431, 501, 505 */
    const char *error;  /* static text */

    size_t bytes;       /* of the whole head */
    struct h1_span method;
    struct h1_span target; /* as sent */
    struct h1_span path;   /* of the target, begins with '/'; or "*" */
    struct h1_span query;  /* behind the '?' */
    int status;            /* of a response */
    uint8_t minor;         /* HTTP/1.minor */
    bool has_host;
    bool has_length;
    bool has_encoding;     /* Transfer-Encoding was seen */
    bool is_chunked;
    bool wants_close;      /* Connection: close, or 1.0 without keep-alive */
    bool wants_keep_alive; /* private */
    bool wants_continue;   /* Expect: 100-continue in HTTP/1.1 */
    uint64_t length;       /* Content-Length */
    uint32_t nfields;
    struct h1_field fields[HTTP_HEADERS_MAX];
};

void h1_head_init(struct h1_head *head, bool is_response);

/*
 * buf holds all bytes of the message received so far (len never shrinks and
 * buf's content up to the last len is that of the last call, wherever it is
 * now).  Field names are lower-cased in place.
 */
enum h1_result h1_head_feed(struct h1_head *head, char *buf, size_t len);

static inline struct sv
h1_span_sv(struct h1_span span, const char *buf)
{
    return sv_make(buf + span.from, span.len);
}

/* RFC 9110 token: one or more tchar. */
bool h1_is_token(struct sv text);
/* Bytes that a request target is made of. */
bool h1_is_target(struct sv text);
/* Bytes of a field value: tab, space, visible, 0x80-0xff. */
bool h1_is_field_value(struct sv text);

/* Extensions of all chunks of one body, which are dropped. */
#define H1_CHUNK_EXT_BYTES_MAX (16 * KIB)
/* Trailer fields of a body, which are checked and dropped. */
#define H1_TRAILER_BYTES_MAX (8 * KIB)
/* 64 bits. */
#define H1_CHUNK_DIGITS_MAX 16

struct h1_chunked {
    uint8_t state;      /* private */
    uint8_t digits;     /* private */
    uint32_t ext_bytes; /* private */
    uint32_t trailer_bytes; /* private */
    uint64_t left;      /* bytes of the present chunk still to come */
    const char *error;  /* static text after H1_ERROR */
};

void h1_chunked_init(struct h1_chunked *chunked);

/*
 * Consumes the framing up to the next run of data, or what is there of it;
 * *used says how many bytes.  H1_MORE with h1_chunked_expects() > 0: that
 * much data comes next; the caller takes it from wherever it arrives and
 * says so with h1_chunked_took().  H1_DONE: the body and its trailers ended
 * with the used bytes.
 */
enum h1_result h1_chunked_feed(struct h1_chunked *chunked, struct sv input,
    size_t *used);

uint64_t h1_chunked_expects(const struct h1_chunked *chunked);
void h1_chunked_took(struct h1_chunked *chunked, uint64_t n);

#endif

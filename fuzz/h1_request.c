/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Any bytes as the head of a request or response.  Fed at once, byte by byte
 * and in slices chosen by the input, the outcome is the same; what was
 * accepted keeps the promises of h1_parse.h.
 */

#include "core/base.h"

#include "core/assert.h"
#include "core/mem.h"
#include "http/h1_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum h1_result
feed(struct h1_head *head, bool is_response, const uint8_t *data, size_t size,
    size_t slice)
{
    char *buf = xmalloc(size + 1);
    enum h1_result result = H1_MORE;
    size_t n = 0;

    h1_head_init(head, is_response);
    while (result == H1_MORE && n < size) {
        size_t step = MIN(slice, size - n);

        memcpy(buf + n, data + n, step);
        n += step;
        result = h1_head_feed(head, buf, n);
    }
    xfree(buf);
    return result;
}

static void
check_span(struct h1_span span, size_t size)
{
    check((size_t)span.from + span.len <= size);
}

static void
check_accepted(const struct h1_head *head, const char *buf)
{
    struct sv path = h1_span_sv(head->path, buf);

    check(head->bytes <= HTTP_HEAD_BYTES_MAX && head->minor <= 1);
    check(head->nfields <= HTTP_HEADERS_MAX);
    check(!(head->has_length && head->has_encoding));
    check(head->has_encoding == head->is_chunked);
    check(!(head->is_chunked && head->minor == 0));
    check_span(head->target, head->bytes);
    check_span(head->query, head->bytes);
    for (uint32_t i = 0; i < head->nfields; i++) {
        struct sv value = h1_span_sv(head->fields[i].value, buf);

        check(h1_is_token(h1_span_sv(head->fields[i].name, buf)));
        check(h1_is_field_value(value));
        check(memchr(value.ptr, '\r', value.len) == NULL);
    }
    if (head->is_response)
        return;
    check(head->minor == 0 || head->has_host);
    check(h1_is_token(h1_span_sv(head->method, buf)));
    check(path.len == 0 || path.ptr[0] == '/' || sv_eq(path, SV("*")));
    check(sv_find_byte(path, '?') == path.len);
    check(sv_find_byte(path, ' ') == path.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct h1_head whole, sliced;
    size_t slices[] = {1, 7};
    enum h1_result result;
    bool is_response;

    if (size < 2)
        return 0;
    is_response = (data[0] & 1) != 0;
    slices[1] = (size_t)data[0] + 2;
    data++;
    size--;
    result = feed(&whole, is_response, data, size, SIZE_MAX);
    for (size_t i = 0; i < ARRAY_LEN(slices); i++) {
        check(feed(&sliced, is_response, data, size, slices[i]) == result);
        check(result != H1_ERROR ||
            sliced.error_status == whole.error_status);
        check(result != H1_DONE || (sliced.bytes == whole.bytes &&
            sliced.nfields == whole.nfields &&
            sliced.length == whole.length &&
            sliced.is_chunked == whole.is_chunked &&
            sliced.wants_close == whole.wants_close));
    }
    if (result == H1_DONE) {
        char *buf = xmemdup0((const char *)data, size);

        h1_head_init(&whole, is_response);
        check(h1_head_feed(&whole, buf, size) == H1_DONE);
        check_accepted(&whole, buf);
        xfree(buf);
    }
    return 0;
}

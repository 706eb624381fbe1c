/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Bodies of the type multipart/form-data (RFC 7578), as "curl -F" and forms
 * of web pages send them, as a source of arguments.  A view over the body:
 * nothing is copied.
 */

#ifndef SPOOR_HTTP_MULTIPART_H
#define SPOOR_HTTP_MULTIPART_H

#include "core/base.h"
#include "core/sv.h"

/* RFC 2046, 5.1.1. */
#define MULTIPART_BOUNDARY_MAX ((size_t)70)

struct multipart {
    struct sv rest; /* behind the last delimiter */
    /* CRLF "--" boundary; the first one has no CRLF before it */
    char delimiter[4 + MULTIPART_BOUNDARY_MAX];
    size_t len;
};

/*
 * False: content_type is another one or has no usable boundary, or the body
 * does not hold it.
 */
bool multipart_open(struct multipart *multipart, struct sv content_type,
    struct sv body) WARN_UNUSED;

/*
 * The next field, of views into the body; the bytes are the value, nothing is
 * decoded.  Files and parts without a name are passed over.  False: there is
 * no more, or what follows is malformed.
 */
bool multipart_next(struct multipart *multipart, struct sv *name,
    struct sv *value) WARN_UNUSED;

#endif

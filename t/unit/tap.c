/* SPDX-License-Identifier: BSD-2-Clause */

/* The harness itself: what it prints for good checks. */

#include "core/base.h"

#include "tap.h"

static void *
check_from_thread(void *arg)
{
    ok(arg != NULL, "a check from a thread");
    return NULL;
}

int
main(void)
{
    char name[] = "thread";
    pthread_t thread;

    ok(true, "a name with a %s and a number %d", "word", 1);
    is_int(UINT32_MAX, INT64_C(4294967295), "numbers are 64 bits wide");
    is_str("a", "a", "strings");
    is_str(NULL, NULL, "no strings");
    is_mem("a\0b", 3, "a\0b", 3, "bytes");
    if (pthread_create(&thread, NULL, check_from_thread, name) == 0)
        pthread_join(thread, NULL);
    skip("shown as an example", 1);
    return tap_done();
}

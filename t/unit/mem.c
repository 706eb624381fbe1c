/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/mem.h"

#include "tap.h"

int
main(void)
{
    char *text = xstrdup("spoor");
    void *ptr;

    is_str(text, "spoor", "xstrdup");
    text = xrealloc(text, 100);
    is_str(text, "spoor", "xrealloc keeps the content");
    xfree(text);
    text = xmemdup0("ab\0cd", 5);
    ok(memcmp(text, "ab\0cd", 6) == 0, "xmemdup0 adds a NUL");
    xfree(text);
    text = xmemdup0(NULL, 0);
    is_str(text, "", "xmemdup0 of nothing");
    xfree(text);
    text = xcalloc(3, 5);
    ok(text[0] == 0 && text[14] == 0, "xcalloc is zeroed");
    xfree(text);
    ptr = xmalloc(0);
    ok(ptr != NULL, "no bytes are a pointer, too");
    xfree(ptr);
    xfree(NULL);

    mem_fail_at(2);
    ptr = mem_try_alloc(10);
    ok(ptr != NULL, "the first call works");
    ok(mem_try_realloc(ptr, 20) == NULL, "the second fails");
    ptr = mem_try_realloc(ptr, 30);
    ok(ptr != NULL, "only once");
    xfree(ptr);
    mem_fail_at(1);
    mem_fail_at(0);
    ptr = mem_try_alloc(1);
    ok(ptr != NULL, "0 takes it back");
    xfree(ptr);
    return tap_done();
}

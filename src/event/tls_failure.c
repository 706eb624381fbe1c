/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "event/tls_failure.h"

#include "core/log.h"
#include "core/metrics.h"
#include "core/timefmt.h"

static const struct {
    enum metric_id metric;
    enum log_level level;
} rows[TLS_FAILURES] = {
    [TLS_FAILURE_OTHER] = {METRIC_TLS_FAILED_OTHER, LOG_INFO},
    [TLS_FAILURE_VERSION] = {METRIC_TLS_FAILED_VERSION, LOG_INFO},
    [TLS_FAILURE_CIPHER] = {METRIC_TLS_FAILED_CIPHER, LOG_INFO},
    [TLS_FAILURE_PROTOCOL] = {METRIC_TLS_FAILED_PROTOCOL, LOG_INFO},
    [TLS_FAILURE_CERTIFICATE] = {METRIC_TLS_FAILED_CERTIFICATE, LOG_WARN},
    [TLS_FAILURE_NAME] = {METRIC_TLS_FAILED_NAME, LOG_WARN},
    [TLS_FAILURE_ALERT] = {METRIC_TLS_FAILED_ALERT, LOG_INFO},
    [TLS_FAILURE_CLOSED] = {METRIC_TLS_FAILED_CLOSED, LOG_DEBUG},
    [TLS_FAILURE_TIMEOUT] = {METRIC_TLS_FAILED_TIMEOUT, LOG_INFO},
    [TLS_FAILURE_TOO_MANY] = {METRIC_TLS_FAILED_TOO_MANY, LOG_WARN},
    [TLS_FAILURE_PLAIN] = {METRIC_TLS_FAILED_PLAIN, LOG_INFO},
};

/* By reason; one thread of each process comes here. */
static int64_t silent_until_ns[TLS_FAILURES];
static unsigned unsaid[TLS_FAILURES];

void
tls_failure_count(enum tls_failure failure, const char *peer,
    const char *listener, const char *text)
{
    static struct log_site site;
    int64_t now_ns = clock_mono_ns();
    char more[64] = "";

    metric_add(rows[failure].metric, 1);
    if (!log_is_on(rows[failure].level))
        return;
    if (now_ns < silent_until_ns[failure]) {
        unsaid[failure]++;
        return;
    }
    if (unsaid[failure] > 0)
        snprintf(more, sizeof(more), " (and %u before for such a reason)",
            unsaid[failure]);
    unsaid[failure] = 0;
    silent_until_ns[failure] = now_ns + TLS_FAILURE_LOG_NS;
    log_write(&site, rows[failure].level, __FILE__, __LINE__,
        "TLS handshake of %s at %s failed: %s%s", peer, listener, text, more);
}

/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "cli/request.h"

#include "core/num.h"
#include "core/timefmt.h"
#include "query/text.h"

bool
request_headers_add(struct request_headers *headers, const char *text)
{
    const char *colon = strchr(text, ':');

    if (colon == NULL || colon == text || headers->n == REQUEST_HEADERS_MAX)
        return false;
    headers->v[headers->n++] = text;
    return true;
}

bool
request_headers_tenant(struct request_headers *headers, const char *text)
{
    struct sv rest = sv_from(text), part;
    uint64_t account, project = 0;

    if (!sv_split(&rest, ':', &part) || !num_parse_u64(part, &account) ||
        account > UINT32_MAX)
        return false;
    if (rest.ptr != NULL && (!num_parse_u64(rest, &project) ||
        project > UINT32_MAX))
        return false;
    headers->tenant = (struct tenant){(uint32_t)account, (uint32_t)project};
    snprintf(headers->account, sizeof(headers->account), "AccountID: %u",
        headers->tenant.account);
    snprintf(headers->project, sizeof(headers->project), "ProjectID: %u",
        headers->tenant.project);
    return request_headers_add(headers, headers->account) &&
        request_headers_add(headers, headers->project);
}

bool
request_time(const char *text, int64_t *ns)
{
    int64_t now_ns = clock_wall_ns(), ago, end;

    if (time_parse_duration(sv_from(text), &ago) && ago >= 0) {
        *ns = now_ns - ago;
        return true;
    }
    return time_parse_query(sv_from(text), now_ns, ns, &end);
}

/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/fault.h"

#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/num.h"
#include "core/sv.h"
#include "core/sys.h"

/* A test arms a handful of points; the list is a line in an environment. */
#define FAULT_RULES_MAX 32
#define FAULT_NAME_MAX 64
#define FAULT_ROLE_MAX 16
#define FAULT_TEXT_MAX 2048

/* Counters that all processes share: rules of all versions of the file. */
#define FAULT_COUNTERS 1024

#define FAULT_REREAD_NS (10 * NS_PER_MS)

struct fault_rule {
    char name[FAULT_NAME_MAX]; /* without the role; may end with '*' */
    char role[FAULT_ROLE_MAX]; /* "": any */
    enum fault_action action;
    int number;         /* errno or milliseconds */
    uint32_t nth, last; /* visits */
    uint64_t key;       /* names its counter */
};

struct fault_rules {
    struct fault_rule v[FAULT_RULES_MAX];
    unsigned n;
};

struct fault_counter {
    _Atomic uint64_t key; /* 0: free */
    _Atomic uint32_t visits;
};

/* Of all processes. */
struct fault_shared {
    struct fault_counter counters[FAULT_COUNTERS];
    _Atomic bool is_crashed; /* nobody passes a point any more */
};

bool fault_is_armed;

static struct fault_shared *fault_shared;
static char fault_role_name[FAULT_ROLE_MAX] = "master";
static struct fault_rules fault_environment, fault_file;
static const char *fault_file_path;
static int64_t fault_file_read_ns;
static struct timespec fault_file_time;
static pthread_mutex_t fault_lock = PTHREAD_MUTEX_INITIALIZER;

/* FNV-1a. */
static uint64_t
fault_hash(struct sv text, uint64_t salt)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325) ^ salt;

    for (size_t i = 0; i < text.len; i++)
        hash = (hash ^ (unsigned char)text.ptr[i]) * UINT64_C(0x100000001b3);
    return hash | 1;
}

static int
errno_from_name(struct sv name)
{
    for (int number = 1; number < 256; number++) {
        const char *known = strerrorname_np(number);

        if (known != NULL && sv_eq(name, sv_from(known)))
            return number;
    }
    return 0;
}

static const struct {
    const char *word;
    enum fault_action action;
} fault_words[] = {
    {"kill", FAULT_KILL}, {"crash", FAULT_CRASH}, {"stop", FAULT_STOP},
    {"short", FAULT_SHORT}, {"tear", FAULT_TEAR},
};

static bool
fault_parse_action(struct sv text, struct fault_rule *rule)
{
    uint64_t ms;

    for (size_t i = 0; i < ARRAY_LEN(fault_words); i++) {
        if (sv_eq(text, sv_from(fault_words[i].word))) {
            rule->action = fault_words[i].action;
            return true;
        }
    }
    if (sv_starts_with(text, SV("sleep="))) {
        rule->action = FAULT_SLEEP;
        if (!num_parse_u64(sv_sub(text, 6, SIZE_MAX), &ms) || ms > 600000)
            return false;
        rule->number = (int)ms;
        return true;
    }
    rule->action = FAULT_ERRNO;
    rule->number = errno_from_name(text);
    return rule->number != 0;
}

/* A rule that is not understood must not pass for a test that ran. */
static void NORETURN
fault_bad_rule(struct sv text)
{
    fprintf(stderr, "spoor: SPOOR_FAULT: cannot understand \"%.*s\"\n",
        SV_ARG(text));
    _exit(2);
}

/* "3": from the third visit on; "3-5": until the fifth. */
static bool
fault_parse_visits(struct sv text, struct fault_rule *rule)
{
    struct sv first;
    uint64_t n, last = UINT32_MAX;
    bool has_last = text.len > 0 && memchr(text.ptr, '-', text.len) != NULL;

    if (!sv_split(&text, '-', &first) || !num_parse_u64(first, &n) ||
        (has_last && !num_parse_u64(text, &last)) ||
        n == 0 || last < n || last > UINT32_MAX)
        return false;
    rule->nth = (uint32_t)n;
    rule->last = (uint32_t)last;
    return true;
}

/* "name" or "name@role". */
static bool
fault_parse_name(struct sv text, struct fault_rule *rule)
{
    struct sv name;

    if (!sv_split(&text, '@', &name) || name.len == 0 ||
        name.len >= sizeof(rule->name) || text.len >= sizeof(rule->role))
        return false;
    memcpy(rule->name, name.ptr, name.len);
    rule->name[name.len] = '\0';
    memcpy(rule->role, text.len > 0 ? text.ptr : "", text.len);
    rule->role[text.len] = '\0';
    return true;
}

static void
fault_parse(struct sv list, uint64_t salt, struct fault_rules *rules)
{
    struct sv text;

    rules->n = 0;
    while (sv_split(&list, ',', &text)) {
        struct fault_rule *rule = &rules->v[rules->n];
        struct sv rest, name, action, visits;

        text = sv_trim(text);
        if (text.len == 0)
            continue;
        rest = text;
        rule->nth = 1;
        rule->last = UINT32_MAX;
        if (rules->n == FAULT_RULES_MAX
            || !sv_split(&rest, ':', &name) || !sv_split(&rest, ':', &action)
            || !fault_parse_name(name, rule)
            || !fault_parse_action(action, rule)
            || (sv_split(&rest, ':', &visits)
                && !fault_parse_visits(visits, rule)))
            fault_bad_rule(text);
        rule->key = fault_hash(text, salt);
        rules->n++;
    }
}

/* Reads the file again when it changed; a new version counts from zero. */
static void
fault_reread_file(void)
{
    int64_t now_ns = sys_kernel.mono_ns();
    char text[FAULT_TEXT_MAX];
    struct stat st;
    FILE *file;
    size_t len;

    if (fault_file_read_ns != 0
        && now_ns - fault_file_read_ns < FAULT_REREAD_NS)
        return;
    fault_file_read_ns = now_ns;
    file = fopen(fault_file_path, "re");
    if (file == NULL || fstat(fileno(file), &st) != 0) {
        fault_file.n = 0;
        fault_file_time = (struct timespec){0, 0};
    } else if (st.st_mtim.tv_sec != fault_file_time.tv_sec
        || st.st_mtim.tv_nsec != fault_file_time.tv_nsec) {
        len = fread(text, 1, sizeof(text), file);
        while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
            len--;
        fault_parse(sv_make(text, len), (uint64_t)st.st_mtim.tv_sec
            * NS_PER_SEC + (uint64_t)st.st_mtim.tv_nsec, &fault_file);
        fault_file_time = st.st_mtim;
    }
    if (file != NULL)
        fclose(file);
}

void
fault_init(void)
{
    const char *list = getenv("SPOOR_FAULT");

    fault_file_path = getenv("SPOOR_FAULT_FILE");
    fault_is_armed = list != NULL || fault_file_path != NULL;
    if (!fault_is_armed) {
        sys_init();
        return;
    }
    if (fault_shared == NULL) {
        void *shared = mmap(NULL, sizeof(*fault_shared),
            PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (shared == MAP_FAILED) {
            fprintf(stderr, "spoor: SPOOR_FAULT: mmap: %m\n");
            _exit(2);
        }
        fault_shared = shared;
    }
    atomic_store(&fault_shared->is_crashed, false);
    fault_file.n = 0;
    fault_file_read_ns = 0;
    fault_parse(list != NULL ? sv_from(list) : SV_EMPTY, 0,
        &fault_environment);
    sys_init();
}

void
fault_set_role(const char *role)
{
    snprintf(fault_role_name, sizeof(fault_role_name), "%.*s",
        (int)MIN(strcspn(role, " "), sizeof(fault_role_name) - 1), role);
}

const char *
fault_role(void)
{
    return fault_role_name;
}

/* Counts one visit over all processes and returns its number, from 1. */
static uint32_t
fault_count(uint64_t key)
{
    for (unsigned i = 0; i < FAULT_COUNTERS; i++) {
        struct fault_counter *counter =
            &fault_shared->counters[(key + i) % FAULT_COUNTERS];
        uint64_t seen = 0;

        if (atomic_compare_exchange_strong(&counter->key, &seen, key)
            || seen == key)
            return atomic_fetch_add(&counter->visits, 1) + 1;
    }
    return 1;
}

static bool
fault_is_named(const struct fault_rule *rule, const char *name)
{
    size_t len = strlen(rule->name);

    if (rule->role[0] != '\0' && strcmp(rule->role, fault_role_name) != 0)
        return false;
    if (rule->name[len - 1] == '*')
        return strncmp(rule->name, name, len - 1) == 0;
    return strcmp(rule->name, name) == 0;
}

static bool
fault_is_once(enum fault_action action)
{
    return action == FAULT_KILL || action == FAULT_CRASH ||
        action == FAULT_STOP || action == FAULT_TEAR;
}

/* The first rule of this name that fires now; false if there is none. */
static bool
fault_find(const struct fault_rules *rules, const char *name,
    struct fault_rule *found)
{
    bool any = false;

    for (unsigned i = 0; i < rules->n; i++) {
        const struct fault_rule *rule = &rules->v[i];
        uint32_t visit;
        bool fires;

        if (!fault_is_named(rule, name))
            continue;
        visit = fault_count(rule->key);
        if (fault_is_once(rule->action))
            fires = visit == rule->nth;
        else
            fires = visit >= rule->nth && visit <= rule->last;
        if (fires && !any) {
            *found = *rule;
            any = true;
        }
    }
    return any;
}

void
fault_die(void)
{
    kill(getpid(), SIGKILL);
    for (;;)
        pause();
}

enum fault_action
fault_visit(const char *name, int *number)
{
    struct fault_rule rule;
    bool fires;

    if (fault_shared == NULL)
        return FAULT_NONE;
    if (atomic_load(&fault_shared->is_crashed))
        fault_die();
    pthread_mutex_lock(&fault_lock);
    if (fault_file_path != NULL)
        fault_reread_file();
    fires = fault_find(&fault_environment, name, &rule)
        || fault_find(&fault_file, name, &rule);
    pthread_mutex_unlock(&fault_lock);
    if (!fires)
        return FAULT_NONE;

    switch (rule.action) {
    case FAULT_CRASH:
        atomic_store(&fault_shared->is_crashed, true);
        fault_die();
    case FAULT_KILL:
        fault_die();
    case FAULT_STOP:
        /* This thread itself: it must not run on for a moment. */
        (void)raise(SIGSTOP);
        return FAULT_NONE;
    case FAULT_SLEEP:
        sys_kernel.sleep_ns(rule.number * NS_PER_MS);
        return FAULT_NONE;
    case FAULT_NONE:
    case FAULT_SHORT:
    case FAULT_TEAR:
    case FAULT_ERRNO:
        break;
    }
    *number = rule.number;
    return rule.action;
}

int
fault_point(const char *name)
{
    int number = 0;
    enum fault_action action = fault_visit(name, &number);

    if (action == FAULT_TEAR)
        fault_die();
    return action == FAULT_ERRNO ? number : 0;
}

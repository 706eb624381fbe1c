/* SPDX-License-Identifier: BSD-2-Clause */

#include "core/base.h"
#include "core/fault.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/num.h"
#include "core/sv.h"
#include "core/timefmt.h"

/* A test arms a handful of points; the list is a line in an environment. */
#define FAULT_RULES_MAX 32
#define FAULT_NAME_MAX 64
#define FAULT_TEXT_MAX 2048

/* Counters that all processes share: rules of all versions of the file. */
#define FAULT_COUNTERS 1024

#define FAULT_REREAD_NS (10 * NS_PER_MS)

enum fault_action { FAULT_KILL, FAULT_STOP, FAULT_ERRNO, FAULT_SLEEP };

struct fault_rule {
    char name[FAULT_NAME_MAX];
    enum fault_action action;
    int number;      /* errno or milliseconds */
    uint32_t nth;
    uint64_t key;    /* names its counter */
};

struct fault_rules {
    struct fault_rule v[FAULT_RULES_MAX];
    unsigned n;
};

struct fault_counter {
    _Atomic uint64_t key; /* 0: free */
    _Atomic uint32_t visits;
};

bool fault_is_armed;

static struct fault_counter *fault_counters;
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

static bool
fault_parse_action(struct sv text, struct fault_rule *rule)
{
    uint64_t ms;

    if (sv_eq(text, SV("kill"))) {
        rule->action = FAULT_KILL;
        return true;
    }
    if (sv_eq(text, SV("stop"))) {
        rule->action = FAULT_STOP;
        return true;
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

static void
fault_parse(struct sv list, uint64_t salt, struct fault_rules *rules)
{
    struct sv text;

    rules->n = 0;
    while (sv_split(&list, ',', &text)) {
        struct fault_rule *rule = &rules->v[rules->n];
        struct sv rest, name, action, nth;
        uint64_t n = 1;

        text = sv_trim(text);
        if (text.len == 0)
            continue;
        rest = text;
        if (rules->n == FAULT_RULES_MAX
            || !sv_split(&rest, ':', &name) || !sv_split(&rest, ':', &action)
            || name.len == 0 || name.len >= FAULT_NAME_MAX
            || !fault_parse_action(action, rule)
            || (sv_split(&rest, ':', &nth)
                && (!num_parse_u64(nth, &n) || n == 0 || n > UINT32_MAX)))
            fault_bad_rule(text);
        memcpy(rule->name, name.ptr, name.len);
        rule->name[name.len] = '\0';
        rule->nth = (uint32_t)n;
        rule->key = fault_hash(text, salt);
        rules->n++;
    }
}

/* Reads the file again when it changed; a new version counts from zero. */
static void
fault_reread_file(void)
{
    int64_t now_ns = clock_mono_ns();
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
    if (!fault_is_armed)
        return;
    if (fault_counters == NULL) {
        void *shared = mmap(NULL, FAULT_COUNTERS * sizeof(*fault_counters),
            PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

        if (shared == MAP_FAILED) {
            fprintf(stderr, "spoor: SPOOR_FAULT: mmap: %m\n");
            _exit(2);
        }
        fault_counters = shared;
    }
    fault_file.n = 0;
    fault_file_read_ns = 0;
    fault_parse(list != NULL ? sv_from(list) : SV_EMPTY, 0,
        &fault_environment);
}

/* Counts one visit over all processes and returns its number, from 1. */
static uint32_t
fault_count(uint64_t key)
{
    for (unsigned i = 0; i < FAULT_COUNTERS; i++) {
        struct fault_counter *counter =
            &fault_counters[(key + i) % FAULT_COUNTERS];
        uint64_t seen = 0;

        if (atomic_compare_exchange_strong(&counter->key, &seen, key)
            || seen == key)
            return atomic_fetch_add(&counter->visits, 1) + 1;
    }
    return 1;
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

        if (strcmp(rule->name, name) != 0)
            continue;
        visit = fault_count(rule->key);
        if (rule->action == FAULT_KILL || rule->action == FAULT_STOP)
            fires = visit == rule->nth;
        else
            fires = visit >= rule->nth;
        if (fires && !any) {
            *found = *rule;
            any = true;
        }
    }
    return any;
}

int
fault_point(const char *name)
{
    struct fault_rule rule;
    struct timespec wait;
    bool fires;

    if (fault_counters == NULL)
        return 0;
    pthread_mutex_lock(&fault_lock);
    if (fault_file_path != NULL)
        fault_reread_file();
    fires = fault_find(&fault_environment, name, &rule)
        || fault_find(&fault_file, name, &rule);
    pthread_mutex_unlock(&fault_lock);
    if (!fires)
        return 0;

    switch (rule.action) {
    case FAULT_KILL:
        kill(getpid(), SIGKILL);
        for (;;)
            pause();
    case FAULT_STOP:
        kill(getpid(), SIGSTOP);
        return 0;
    case FAULT_SLEEP:
        wait.tv_sec = rule.number / 1000;
        wait.tv_nsec = rule.number % 1000 * NS_PER_MS;
        while (nanosleep(&wait, &wait) != 0 && errno == EINTR)
            ;
        return 0;
    case FAULT_ERRNO:
        return rule.number;
    }
    return 0;
}

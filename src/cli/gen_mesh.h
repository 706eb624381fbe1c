/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * The services of profiles a and b: which there are, what they do and what
 * they call.  The same in every run (a seed changes the load, not the
 * company that has it).  Private to gen_mesh*.c.
 */

#ifndef SPOOR_CLI_GEN_MESH_H
#define SPOOR_CLI_GEN_MESH_H

#include "core/base.h"
#include "cli/gen_make.h"

#define MESH_SERVICES_MAX 48u
#define MESH_OPS_MAX 1024u
#define MESH_CALLS_MAX 8u
#define MESH_LAYERS 4u
#define MESH_FRAMES 20u /* of a stack trace, at most */

enum mesh_style {
    MESH_HTTP, MESH_RPC, MESH_SQL, MESH_CACHE, MESH_PUBLISH, MESH_CONSUME,
    MESH_WORK, MESH_STYLES,
};

enum mesh_language { MESH_JAVA, MESH_GO, MESH_NODE, MESH_PYTHON, MESH_DOTNET,
    MESH_LANGUAGES };

/* What stands for "{id}" in the paths and statements of an operation. */
enum mesh_id { MESH_ID_NUMBER, MESH_ID_CODE, MESH_ID_UUID };

enum mesh_extra {
    MESH_USER,         /* user.id, the same in the whole trace */
    MESH_SESSION,      /* session.id, a uuid, the same for some minutes */
    MESH_REQUEST_UUID, /* the same in the trace, another in each */
    MESH_ENTITY_UUID,  /* likewise */
    MESH_CART_CODE,    /* 13 letters and digits, likewise */
    MESH_OWN_UUID,     /* of the span */
    MESH_SIZE, MESH_PEER_PORT, MESH_TENANT, MESH_FLAG, MESH_THREAD,
    MESH_COST,
    MESH_EXTRAS,
};

struct mesh_call {
    uint16_t op;
    uint8_t percent;
    uint8_t repeat_max; /* 1, or a loop over that many */
};

struct mesh_op {
    uint8_t service;
    uint8_t style;
    uint8_t id; /* enum mesh_id */
    uint8_t ncalls;
    bool is_parallel;  /* its calls are made at the same time */
    bool has_literals; /* values stand in the statement */
    uint32_t extras; /* which attributes that only some have; bits */
    uint32_t typical_us;
    struct sv name;        /* of the span */
    struct sv client_name; /* of the caller's span */
    struct sv verb;        /* GET, SELECT, or the RPC method */
    struct sv target;      /* route, statement, RPC service, topic */
    struct sv table;
    struct sv function; /* code.function.name of its service */
    struct mesh_call calls[MESH_CALLS_MAX];
};

struct mesh_service {
    struct sv name;
    struct sv noun;
    struct sv address;
    struct sv pool_name; /* of its threads */
    uint8_t language;
    uint8_t layer;
    bool is_us_clock;
    uint16_t first_leaf, nleaves;     /* operations on stores, and work */
    uint16_t first_entry, nentries;   /* what others call */
};

/* How a profile's mesh is grown. */
struct mesh_shape {
    uint64_t topology; /* seed of it */
    const char *domain;
    uint32_t services, pods;
    uint32_t sql_percent; /* of leaves; the rest: caches, queues, work */
    uint32_t entries_min, entries_max; /* of a service */
    uint32_t leaves_min, leaves_max;
    uint32_t calls_max;      /* of an entry to other services */
    uint32_t leaf_calls_max;
    uint32_t percent;        /* how likely a call is */
    uint32_t repeat_percent; /* of the calls are loops */
    uint32_t repeat_max;
    uint32_t us_clock_percent;
    uint32_t parallel_percent;
    uint32_t uuid_id_percent; /* of operations name things by a uuid */
    uint32_t single_percent; /* of traces that are one health check */
    uint32_t extra_percent[MESH_EXTRAS];
};

struct mesh {
    struct pool *pool; /* of the texts below */
    const struct mesh_shape *shape;
    struct mesh_service services[MESH_SERVICES_MAX];
    struct mesh_op ops[MESH_OPS_MAX];
    uint32_t nservices, nops;
    uint64_t random; /* while it is grown */
    /* What the spans of the trace being made may have in common. */
    struct {
        uint64_t random; /* of the ids below */
        struct sv user, session, request_uuid, entity_uuid, cart, tenant;
        struct sv agent, client_address;
    } trace;
};

struct mesh *mesh_new(const struct mesh_shape *shape);
void mesh_free(struct mesh *mesh);

/* A trace begins; its common values are made when a span first asks. */
void mesh_begin_trace(struct gen *gen);

/*
 * id_random: the caller's and the callee's span show the same ids.  service:
 * whose span it is.
 */
void mesh_attrs(struct gen *gen, struct span *span, const struct mesh_op *op,
    uint32_t service, uint64_t id_random);
/* Status, exception and stack trace. */
void mesh_fail(struct gen *gen, struct span *span, const struct mesh_op *op,
    uint64_t id_random);
/* A log line of the service, now and then. */
void mesh_event(struct gen *gen, struct span *span);

void mesh_resource(struct gen *gen, uint32_t number, struct resource *out);
void mesh_scope(struct gen *gen, uint32_t number, struct scope *out);

#endif

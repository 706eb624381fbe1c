/* SPDX-License-Identifier: BSD-2-Clause */

/*
 * Encoding a part: dictionaries of strings that differ in numbers only
 * (part_format.h: TEMPLATES).
 *
 * A string is cut at whatever is not a letter or digit.  A piece of digits is
 * a number, a longer one of digits and letters a code (hexadecimal, or base
 * 36), digits inside other pieces are numbers, too.  What is the same in all
 * strings of a template becomes text again.
 */

#include "core/base.h"
#include "storage/part_template.h"
#include "storage/part_write.h"

#include "core/assert.h"
#include "core/enc.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/*
 * Where zstd finds little to do anyway, cutting costs up to 80 ns a span: too
 * much for parts that are merged soon.
 */
#define LEVEL_MIN 2u
/* Fewer strings are not worth a dozen vectors. */
#define STRINGS_MIN 64u
/* Looked at first: columns of prose are given up at once. */
#define SAMPLE 64u
/* One template for so many strings, or zstd does as well. */
#define STRINGS_PER_TEMPLATE 4u
/* Decimals of more digits stay text. */
#define NUMBER_DIGITS 18u
/* Shorter pieces of digits and letters are words. */
#define CODE_DIGITS_MIN 8u
#define CODE_DIGITS_MAX 24u
/* The first piece of a uuid. */
#define UUID_FIRST 8u

/* No column that is worth it has more. */
#define FORMS_MAX 4096u
#define SLOTS (4 * FORMS_MAX)

/*
 * What numbers save, in bits: zstd pays for the place where its match of the
 * text around ends, a twentieth more for digits of base 10 and 16 (of base 36
 * nothing: not all of these are used), and the length of the string.
 */
#define BREAK_BITS 10u
#define BREAK_TEXT_MIN 2u
#define DIGITS_SHARE 20u
#define LENGTH_BITS 1u
/* And what they cost: bytes of vectors in the directory, of a template. */
#define COLUMN_BYTES 200u
#define TEMPLATE_BYTES 16u

/* Bits of the numbers of each lane. */
static const uint8_t lane_bits[PART_TEMPLATE_LANES] = {4, 8, 12, 16, 20, 26,
    40, 64};

/* A template while strings are collected: its text has lane 0 everywhere. */
struct form {
    uint64_t hash;
    uint32_t off; /* in the texts */
    uint32_t len;
    uint32_t n;   /* strings */
    bool has_alnum;
    uint8_t nnumbers;
    uint8_t lanes[PART_TEMPLATE_NUMBERS]; /* at last; NO_LANE: text again */
    uint64_t min[PART_TEMPLATE_NUMBERS];
    uint64_t max[PART_TEMPLATE_NUMBERS];
};

#define NO_LANE 255u

struct maker {
    struct part_writer *w;
    const struct write_dict *dict;
    struct sb *texts;
    struct form *forms;
    uint32_t nforms;
    uint32_t *slots;    /* by hash: form + 1 */
    uint32_t *template; /* by string: form */
    uint64_t *numbers;  /* of all strings */
    size_t nnumbers;
    /* of the string being cut */
    uint64_t found[PART_TEMPLATE_NUMBERS];
    unsigned nfound;
    bool has_alnum;
    char *dst;     /* where its template goes */
    uint32_t last; /* form of the string before */
};

/* --- cutting a string --- */

enum byte_class {
    OTHER = 0,
    DIGIT = 1,
    HEX_LETTER = 2, /* a to f */
    LOWER = 4,
    UPPER = 8,
};

static const uint8_t classes[256] = {
    ['0' ... '9'] = DIGIT, ['a' ... 'f'] = HEX_LETTER, ['g' ... 'z'] = LOWER,
    ['A' ... 'Z'] = UPPER,
};

/* Room for the template of a string of n bytes. */
#define TEMPLATE_ROOM(n) ((n) + 3 * (size_t)PART_TEMPLATE_NUMBERS)

static void
put_literal(struct maker *m, const char *text, size_t n)
{
    memcpy(m->dst, text, n);
    m->dst += n;
}

static void
put_marker(struct maker *m, uint8_t kind, size_t digits)
{
    m->dst[0] = (char)kind;
    m->dst[1] = 0;
    m->dst[2] = (char)digits;
    m->dst += template_marker_bytes(kind);
}

static bool
put_number(struct maker *m, const char *text, size_t n)
{
    bool is_fixed = text[0] == '0' && n > 1;

    if (n > NUMBER_DIGITS || m->nfound == PART_TEMPLATE_NUMBERS)
        return false;
    put_marker(m, is_fixed ? TEMPLATE_DIGITS : TEMPLATE_NUMBER, n);
    m->found[m->nfound++] = template_digits(text, n, 10);
    return true;
}

/* A code in pieces of as many digits as a number holds. */
static bool
put_code(struct maker *m, const char *text, size_t n, bool is_hex)
{
    size_t piece = is_hex ? TEMPLATE_HEX_MAX : TEMPLATE_ALNUM_MAX;

    if (m->nfound + (n + piece - 1) / piece > PART_TEMPLATE_NUMBERS)
        return false;
    for (size_t i = 0; i < n; i += piece) {
        size_t digits = MIN(piece, n - i);

        put_marker(m, is_hex ? TEMPLATE_HEX : TEMPLATE_ALNUM, digits);
        m->found[m->nfound++] = template_digits(text + i, digits,
            is_hex ? 16 : 36);
    }
    m->has_alnum |= !is_hex;
    return true;
}

/* Numbers inside a word. */
static void
put_word(struct maker *m, const char *text, size_t n)
{
    size_t from = 0, end;

    for (size_t i = 0; i < n; i = end) {
        bool is_digit = classes[(uint8_t)text[i]] == DIGIT;

        end = i + 1;
        while (end < n && (classes[(uint8_t)text[end]] == DIGIT) == is_digit)
            end++;
        if (!is_digit)
            continue;
        put_literal(m, text + from, i - from);
        from = put_number(m, text + i, end - i) ? end : i;
    }
    put_literal(m, text + from, n - from);
}

/* A piece of letters and digits, of these classes. */
static void
put_piece(struct maker *m, const char *text, size_t n, unsigned found)
{
    bool is_code = n >= CODE_DIGITS_MIN && n <= CODE_DIGITS_MAX &&
        (found & UPPER) == 0 && (found & (HEX_LETTER | LOWER)) != 0;

    if (found == DIGIT && put_number(m, text, n))
        return;
    if (!is_code || !put_code(m, text, n, (found & LOWER) == 0))
        put_word(m, text, n);
}

static bool
put_uuid(struct maker *m, struct sv rest, size_t n)
{
    if (n != UUID_FIRST || rest.len < TEMPLATE_UUID_TEXT ||
        m->nfound + 2 > PART_TEMPLATE_NUMBERS ||
        (rest.len > TEMPLATE_UUID_TEXT &&
        classes[(uint8_t)rest.ptr[TEMPLATE_UUID_TEXT]] != OTHER) ||
        !template_uuid(rest.ptr, m->found + m->nfound))
        return false;
    m->nfound += 2;
    put_marker(m, TEMPLATE_UUID, 0);
    return true;
}

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

/* The first digit from i on, or the length; eight bytes at a time. */
static size_t
next_digit(struct sv s, size_t i)
{
    for (; i + 8 <= s.len; i += 8) {
        uint64_t v = enc_get64(s.ptr + i) ^ EACH_BYTE('0');
        /* A byte below 10 leaves its top bit clear. */
        uint64_t others = ((v & EACH_BYTE(0x7f)) + EACH_BYTE(0x76)) | v;
        uint64_t digits = ~others & EACH_BYTE(0x80);

        if (digits != 0)
            return i + (uint32_t)__builtin_ctzll(digits) / 8;
    }
    while (i < s.len && classes[(uint8_t)s.ptr[i]] != DIGIT)
        i++;
    return i;
}

static bool
has_marker(struct sv s)
{
    uint64_t any = 0;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8)
        any |= enc_get64(s.ptr + i);
    for (; i < s.len; i++)
        any |= (uint8_t)s.ptr[i];
    if (LIKELY((any & EACH_BYTE(0x80)) == 0))
        return false;
    for (i = 0; i < s.len; i++) {
        if ((uint8_t)s.ptr[i] >= TEMPLATE_MARKERS)
            return true;
    }
    return false;
}

/* The string's template at m->dst, which has room for it. */
static void
cut(struct maker *m, struct sv s)
{
    size_t from = 0, digit = 0;

    m->nfound = 0;
    m->has_alnum = false;
    while ((digit = next_digit(s, digit)) < s.len) {
        size_t start = digit, end = digit;
        unsigned found = 0;

        while (start > from && classes[(uint8_t)s.ptr[start - 1]] != OTHER)
            found |= classes[(uint8_t)s.ptr[--start]];
        while (end < s.len && classes[(uint8_t)s.ptr[end]] != OTHER)
            found |= classes[(uint8_t)s.ptr[end++]];
        put_literal(m, s.ptr + from, start - from);
        if (put_uuid(m, sv_sub(s, start, s.len), end - start))
            end = start + TEMPLATE_UUID_TEXT;
        else
            put_piece(m, s.ptr + start, end - start, found);
        from = digit = end;
    }
    put_literal(m, s.ptr + from, s.len - from);
}

/* --- collecting --- */

static bool
is_form(const struct maker *m, const struct form *form, struct sv text)
{
    return form->len == text.len &&
        memcmp(m->texts->ptr + form->off, text.ptr, text.len) == 0;
}

/* The form of a template behind the texts, added when it is new. */
static uint32_t
find_form(struct maker *m, struct sv text)
{
    uint64_t hash = XXH3_64bits_withSeed(text.ptr, text.len, m->w->seed);
    uint32_t slot = (uint32_t)hash % SLOTS;

    for (; m->slots[slot] != 0; slot = (slot + 1) % SLOTS) {
        const struct form *form = &m->forms[m->slots[slot] - 1];

        if (form->hash == hash && is_form(m, form, text))
            return m->slots[slot] - 1;
    }
    m->forms[m->nforms++] = (struct form){.hash = hash,
        .off = (uint32_t)m->texts->len, .len = (uint32_t)text.len,
        .nnumbers = (uint8_t)m->nfound, .has_alnum = m->has_alnum};
    m->slots[slot] = m->nforms;
    sb_advance(m->texts, text.len);
    return m->nforms - 1;
}

static void
add_numbers(struct maker *m, struct form *form)
{
    for (unsigned i = 0; i < m->nfound; i++) {
        uint64_t v = m->found[i];

        form->min[i] = form->n == 0 ? v : MIN(form->min[i], v);
        form->max[i] = form->n == 0 ? v : MAX(form->max[i], v);
        m->numbers[m->nnumbers++] = v;
    }
    form->n++;
}

static int
reset(struct maker *m)
{
    sb_reset(m->texts);
    m->nforms = m->last = 0;
    m->nnumbers = 0;
    m->forms = writer_alloc(m->w, SCRATCH_FORMS,
        (FORMS_MAX + 1) * sizeof(*m->forms));
    m->slots = writer_alloc(m->w, SCRATCH_FORM_SLOTS,
        SLOTS * sizeof(*m->slots));
    if (m->forms == NULL || m->slots == NULL)
        return -1;
    memset(m->slots, 0, SLOTS * sizeof(*m->slots));
    return 0;
}

/* 1: cut and added.  0: the column has no templates. */
static int
add_string(struct maker *m, uint32_t i, struct sv text)
{
    char *dst = sb_reserve(m->texts, TEMPLATE_ROOM(text.len));
    struct sv template;

    m->numbers = writer_grow(m->w, SCRATCH_NUMBERS,
        (m->nnumbers + PART_TEMPLATE_NUMBERS) * sizeof(*m->numbers));
    if (m->numbers == NULL || writer_sb_ok(m->w, m->texts) != 0)
        return -1;
    if (has_marker(text))
        return 0;
    m->dst = dst;
    cut(m, text);
    template = sv_make(dst, (size_t)(m->dst - dst));
    /* Strings that follow one another mostly have one template. */
    if (m->nforms == 0 || !is_form(m, &m->forms[m->last], template))
        m->last = find_form(m, template);
    m->template[i] = m->last;
    add_numbers(m, &m->forms[m->last]);
    return m->nforms <= FORMS_MAX;
}

/* Do a few strings have templates in common? */
static int
look(struct maker *m)
{
    if (reset(m) != 0)
        return -1;
    for (uint32_t i = 0; i < SAMPLE; i++) {
        int rc = add_string(m, i, writer_dict_string(m->w, m->dict,
            (uint32_t)((uint64_t)i * m->dict->n / SAMPLE)));

        if (rc <= 0)
            return rc;
    }
    return m->nnumbers > 0 && m->nforms <= SAMPLE / 4 * 3;
}

static int
collect(struct maker *m, struct write_filter *filter)
{
    if (reset(m) != 0)
        return -1;
    for (uint32_t i = 0; i < m->dict->n; i++) {
        struct sv text = writer_dict_string(m->w, m->dict, i);
        int rc;

        writer_dict_prefetch(m->w, m->dict, i);
        filter_put(filter, i, text);
        rc = add_string(m, i, text);
        if (rc <= 0)
            return rc;
        if (m->nforms > SAMPLE + i / STRINGS_PER_TEMPLATE)
            return 0;
    }
    return 1;
}

/* --- lanes --- */

static uint32_t
bits_of(uint64_t v)
{
    return v == 0 ? 0 : 64 - (uint32_t)__builtin_clzll(v);
}

static uint8_t
lane_of(uint64_t max)
{
    uint8_t lane = 0;

    while (bits_of(max) > lane_bits[lane])
        lane++;
    return lane;
}

/* Numbers that are the same in all strings are in no lane. */
static void
choose_lanes(const struct maker *m, struct form *form)
{
    struct template t;
    unsigned at = 0;

    /* It is ours, and sound. */
    check(template_parse(&t, sv_make(m->texts->ptr + form->off, form->len)));
    for (unsigned i = 0; i < t.nvars; i++) {
        unsigned n = t.vars[i].kind == TEMPLATE_UUID ? 2 : 1;
        uint8_t lane = NO_LANE;

        for (unsigned j = at; j < at + n; j++) {
            if (form->min[j] != form->max[j])
                lane = lane_of(form->max[j]);
        }
        if (n == 2 && lane != NO_LANE)
            lane = lane_of(UINT64_MAX);
        memset(form->lanes + at, lane, n);
        at += n;
    }
}

/* Bits that the strings of a template save. */
static uint64_t
saved_bits(const struct form *form)
{
    bool has_breaks = form->len >
        BREAK_TEXT_MIN + 3u * (uint32_t)form->nnumbers;
    uint64_t bits = LENGTH_BITS;

    for (unsigned i = 0; i < form->nnumbers; i++) {
        if (form->lanes[i] == NO_LANE)
            continue;
        bits += has_breaks ? BREAK_BITS : 0;
        bits += form->has_alnum ? 0 : bits_of(form->max[i]) / DIGITS_SHARE;
    }
    return bits * form->n;
}

static bool
is_worth_it(const struct maker *m)
{
    uint64_t saved = 0;

    for (uint32_t i = 0; i < m->nforms; i++) {
        choose_lanes(m, &m->forms[i]);
        saved += saved_bits(&m->forms[i]);
    }
    return m->nforms <= m->dict->n / STRINGS_PER_TEMPLATE &&
        saved / 8 > COLUMN_BYTES + (uint64_t)m->nforms * TEMPLATE_BYTES;
}

/* --- writing --- */

/* The template's text, with its lanes, into the heap. */
static void
put_text(const struct maker *m, const struct form *form)
{
    struct sb *heap = &m->w->heap;
    struct template t;
    unsigned at = 0;

    check(template_parse(&t, sv_make(m->texts->ptr + form->off, form->len)));
    for (unsigned i = 0; i < t.nvars; i++) {
        struct template_var *var = &t.vars[i];
        char bytes[TEMPLATE_VAR_TEXT] = {(char)var->kind,
            (char)form->lanes[at], (char)var->digits};
        size_t n = template_marker_bytes(var->kind);

        if (form->lanes[at] == NO_LANE)
            check(template_print_var(var, form->min + at, bytes, &n));
        sb_add(heap, t.text.ptr + var->off, var->len);
        sb_add(heap, bytes, n);
        at += var->kind == TEMPLATE_UUID ? 2 : 1;
    }
    sb_add(heap, t.text.ptr + t.tail, t.text.len - t.tail);
}

/* They are few, and read for each string: all have a mark. */
static int
write_texts(struct maker *m)
{
    struct part_writer *w = m->w;
    uint64_t *lengths = writer_alloc(w, SCRATCH_WIDE,
        2 * (size_t)m->nforms * sizeof(*lengths));
    uint64_t *marks = lengths + m->nforms;
    uint32_t column = m->dict->column;

    if (lengths == NULL)
        return -1;
    for (uint32_t i = 0; i < m->nforms; i++) {
        marks[i] = w->heap.len;
        put_text(m, &m->forms[i]);
        lengths[i] = w->heap.len - marks[i];
    }
    if (writer_sb_ok(w, &w->heap) != 0 ||
        vector_u64(w, vector_id(column, PART_ROLE_LENGTH), lengths,
            m->nforms, 0) != 0 ||
        vector_u64(w, vector_id(column, PART_ROLE_MARK), marks, m->nforms,
            0) != 0)
        return -1;
    return vector_u32(w, vector_id(column, PART_ROLE_TEMPLATE), m->template,
        m->dict->n, 0);
}

struct lanes {
    uint64_t *v[PART_TEMPLATE_LANES];
    size_t n[PART_TEMPLATE_LANES];
    uint64_t *marks;
    uint32_t ngroups;
    uint32_t used; /* lanes with numbers, bits */
};

/* Room for the numbers of each lane, one after the other. */
static int
open_lanes(struct maker *m, struct lanes *lanes)
{
    size_t n[PART_TEMPLATE_LANES] = {0}, all = 0;
    uint64_t *v;

    for (uint32_t i = 0; i < m->nforms; i++) {
        const struct form *form = &m->forms[i];

        for (unsigned j = 0; j < form->nnumbers; j++) {
            if (form->lanes[j] != NO_LANE)
                n[form->lanes[j]] += form->n;
        }
    }
    lanes->ngroups = (m->dict->n + PART_MARK - 1) / PART_MARK;
    v = writer_alloc(m->w, SCRATCH_LANES, (m->nnumbers +
        (size_t)PART_TEMPLATE_LANES * lanes->ngroups) * sizeof(*v));
    if (v == NULL)
        return -1;
    for (unsigned i = 0; i < PART_TEMPLATE_LANES; i++) {
        lanes->v[i] = v + all;
        all += n[i];
        if (n[i] > 0)
            lanes->used |= 1u << i;
    }
    lanes->marks = v + m->nnumbers;
    return 0;
}

static void
fill_lanes(const struct maker *m, struct lanes *lanes)
{
    const uint64_t *numbers = m->numbers;

    for (uint32_t i = 0; i < m->dict->n; i++) {
        const struct form *form = &m->forms[m->template[i]];

        for (unsigned j = 0; i % PART_MARK == 0 && j < PART_TEMPLATE_LANES;
            j++)
            lanes->marks[(size_t)j * lanes->ngroups + i / PART_MARK] =
                lanes->n[j];
        for (unsigned j = 0; j < form->nnumbers; j++) {
            uint8_t lane = form->lanes[j];

            if (lane != NO_LANE)
                lanes->v[lane][lanes->n[lane]++] = numbers[j];
        }
        numbers += form->nnumbers;
    }
}

static int
write_lanes(struct maker *m)
{
    struct lanes lanes = {.used = 0};
    uint32_t column = m->dict->column, nused = 0;

    if (open_lanes(m, &lanes) != 0)
        return -1;
    fill_lanes(m, &lanes);
    for (unsigned i = 0; i < PART_TEMPLATE_LANES; i++) {
        if ((lanes.used >> i & 1) == 0)
            continue;
        memmove(lanes.marks + (size_t)nused++ * lanes.ngroups,
            lanes.marks + (size_t)i * lanes.ngroups,
            lanes.ngroups * sizeof(*lanes.marks));
        if (vector_u64(m->w, vector_id(column, PART_ROLE_LANE + i),
                lanes.v[i], (uint32_t)lanes.n[i],
                COL_TRY_DELTA | COL_TRY_LDICT) != 0)
            return -1;
    }
    return vector_u64(m->w, vector_id(column, PART_ROLE_TEMPLATE_MARK),
        lanes.marks, nused * lanes.ngroups, COL_TRY_DELTA);
}

int
write_templates(struct part_writer *w, const struct write_dict *dict,
    struct write_filter *filter, bool *is_done)
{
    struct maker m = {.w = w, .dict = dict, .texts = &w->templates};
    int rc;

    *is_done = false;
    if (w->footer.level < LEVEL_MIN || dict->n < STRINGS_MIN)
        return 0;
    m.template = writer_alloc(w, SCRATCH_TEMPLATES,
        (size_t)dict->n * sizeof(*m.template));
    if (m.template == NULL)
        return -1;
    rc = look(&m);
    if (rc > 0)
        rc = collect(&m, filter);
    if (rc <= 0 || !is_worth_it(&m))
        return MIN(rc, 0);
    *is_done = true;
    return write_texts(&m) != 0 ? -1 : write_lanes(&m);
}

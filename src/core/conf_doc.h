/* SPDX-License-Identifier: BSD-2-Clause */

/* What the documents made out of the directive table have in common. */

#ifndef SPOOR_CORE_CONF_DOC_H
#define SPOOR_CORE_CONF_DOC_H

#include "core/base.h"
#include "core/conf.h"
#include "core/conf_table.h"
#include "core/sb.h"

void conf_doc_indent(struct sb *out, unsigned depth);
/* Words in lines of at most 79 columns that begin with margin. */
void conf_doc_wrap(struct sb *out, const char *text, const char *margin);
/* A value as YAML. */
void conf_doc_list(struct sb *out, const struct conf_list *list);
void conf_doc_scalar(struct sb *out, enum conf_kind kind, struct sv text);
/* The default of a row as YAML. */
void conf_doc_default(struct sb *out, const struct conf_row *row);

/* "reload" or "restart". */
const char *conf_change_name(enum conf_change change);
/* A kind and its form: 'size: bytes, or with KB, MB, ... KiB, MiB'. */
const char *conf_kind_doc(enum conf_kind kind);

/* man/spoor.8: the flags as a list of mdoc items. */
void conf_print_man_flags(struct sb *out);
/* Lines of text with what roff would take as its own escaped. */
void conf_add_roff(struct sb *out, const char *text);

#endif

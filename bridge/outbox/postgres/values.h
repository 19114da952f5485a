/* values.h - what goes into a statement and comes out of its answer, in PostgreSQL's binary form.
 * Inside bridge/outbox/postgres only. Nothing here waits; one thread at a time. */
#ifndef BRIDGE_OUTBOX_POSTGRES_VALUES_H
#define BRIDGE_OUTBOX_POSTGRES_VALUES_H

#include "bridge/base/clock.h"

struct pg_result; /* libpq's */

/* $1, $2, ...: added in their order. What is added by pointer must stay as it is until it was
 * asked. */
#define PG_ARGS_MOST 16
struct pg_args {
  int count;
  unsigned types[PG_ARGS_MOST];
  const char *values[PG_ARGS_MOST];
  int lengths[PG_ARGS_MOST];
  char numbers[PG_ARGS_MOST][8];
};
void pg_add_number(struct pg_args *a, int64_t n);         /* bigint */
void pg_add_number_or_null(struct pg_args *a, int64_t n); /* TIME_NONE is NULL */
void pg_add_bool(struct pg_args *a, bool b);              /* boolean */
void pg_add_text(struct pg_args *a, struct span s);       /* text; without a pointer: NULL */
void pg_add_bytes(struct pg_args *a, struct span s);      /* bytea; likewise */
void pg_add_time(struct pg_args *a, int64_t wall_us);     /* timestamptz; TIME_NONE: NULL */
/* bigint[], text[] and bytea[]: their form is made in keep, which is the list's own. A list that
 * does not get its memory leaves buffer_status of keep. TIME_NONE and a span without a pointer are
 * NULL. */
void pg_add_numbers(struct pg_args *a, struct buffer *keep, const int64_t *list, size_t count);
void pg_add_texts(struct pg_args *a, struct buffer *keep, const struct span *list, size_t count);

void pg_add_blobs(struct pg_args *a, struct buffer *keep, const struct span *list, size_t count);

int pg_rows(const struct pg_result *r);
bool pg_is_null(const struct pg_result *r, int row, int column);
/* smallint, integer, bigint or boolean; NULL is 0. */
int64_t pg_number(const struct pg_result *r, int row, int column);
int64_t pg_number_or(const struct pg_result *r, int row, int column, int64_t null);
/* text, json, bytea; NULL is {NULL, 0}. It lies in r. */
struct span pg_span(const struct pg_result *r, int row, int column);
/* timestamptz; NULL and the infinite ones: TIME_NONE. */
int64_t pg_time_us(const struct pg_result *r, int row, int column);

#endif

/* Rows that were read together.
 * One thread at a time; a crash leaves nothing. */
#include "bridge/outbox/database/steps.h"

enum { FIRST_ROWS = 64 };

struct db_row *db_page_add(struct db_page *p) {
  if (p->count == p->cap) {
    size_t cap = p->cap ? p->cap * 2 : FIRST_ROWS;
    struct db_row *grown = realloc(p->rows, cap * sizeof *grown);
    if (!grown) return NULL;
    p->rows = grown;
    p->cap = cap;
  }
  BUG_ON(p->count >= p->cap);
  struct db_row *row = &p->rows[p->count++];
  *row = (struct db_row){.arrived_us = TIME_NONE,
                         .first_failed_us = TIME_NONE,
                         .failed_us = TIME_NONE,
                         .since_us = TIME_NONE};
  return row;
}

void db_page_clear(struct db_page *p) {
  arena_reset(&p->arena);
  p->count = 0;
  p->end = false;
  p->ended = p->begun = 0;
}

void db_page_release(struct db_page *p) {
  arena_release(&p->arena);
  free(p->rows);
  *p = (struct db_page){0};
}

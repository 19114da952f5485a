/* Which kind of outbox a url names, and what can be asked of it before one is open.
 * Any thread; what a crash in prepare leaves prepare.h says. */
#include "bridge/outbox/kinds.h"

#include <stddef.h>

/* The kinds of outbox, by the scheme of outbox.url. To add one: its ops table here, its row in
 * box_kinds of tests/support/box.h. */
static const struct store_ops *const kinds[] = {&store_file_ops,       &store_memory_ops,
                                                &store_polled_ops,     &store_sqlite_ops,
                                                &store_postgresql_ops, &store_postgres_ops};

/* Every operation is required: behind the scheme the table holds nothing but functions. */
static bool complete(const struct store_ops *o) {
  typedef void (*operation)(void);
  const char *at = (const char *)o + offsetof(struct store_ops, prepare);
  size_t count = (sizeof *o - offsetof(struct store_ops, prepare)) / sizeof(operation);
  for (size_t i = 0; i < count; i++) {
    operation f;
    memcpy(&f, at + i * sizeof f, sizeof f);
    if (!f) return false;
  }
  return o->scheme;
}

enum status store_kind(const char *url, const struct store_ops **ops, const char **address,
                       struct error *err) {
  const char *colon = strchr(url, ':');
  struct span scheme = {url, colon ? (size_t)(colon - url) : 0};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    if (span_is(scheme, kinds[i]->scheme)) {
      BUG_ON(!complete(kinds[i]));
      *ops = kinds[i];
      *address = colon + 1;
      return ST_OK;
    }
  /* a url may hold a password: only its scheme is shown */
  return error_set(err, ST_INVALID,
                   "outbox.url: unknown kind of outbox \"%.*s\"; use file:DIR, sqlite:FILE or "
                   "postgresql://USER@HOST/DATABASE",
                   SPAN_ARGS(scheme));
}

enum status store_url_check(const char *url, struct error *err) {
  const struct store_ops *ops;
  const char *address;
  enum status st = store_kind(url, &ops, &address, err);
  if (st == ST_OK && !ops->traits.lasts)
    return error_set(err, ST_INVALID,
                     "outbox.url: an outbox in memory ends with its process; use file:DIR");
  return st;
}

enum status store_prepare(const char *url, struct store_preparation *p, struct error *err) {
  const struct store_ops *ops = NULL;
  const char *address = NULL;
  p->was = p->is = p->known = 0;
  p->steps = (struct buffer){0};
  enum status st = store_kind(url, &ops, &address, err);
  if (st != ST_OK) return st;
  st = ops->prepare(address, p, err);
  return st == ST_OK ? buffer_status(&p->steps, err) : st;
}

const char *store_path(const char *url) {
  const struct store_ops *ops;
  const char *address;
  return store_kind(url, &ops, &address, NULL) == ST_OK && ops->traits.at_path ? address : NULL;
}

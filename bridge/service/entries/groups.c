/* Counts dead letters by what they died of.
 * One thread; a crash leaves nothing. */
#include "bridge/service/entries/groups.h"

#include "bridge/base/table.h"
#include "bridge/base/text/words.h"

#define ERROR_CHARACTERS 100

struct group {
  struct span key, reason, name, error, sample;
  uint64_t count;
  int64_t first_us, last_us;
};
struct groups {
  struct arena arena;
  struct table table;
  struct group *list[GROUPS_MOST];
  size_t count;
  uint64_t others;
};

struct groups *groups_open(void) {
  return calloc(1, sizeof(struct groups));
}

void groups_close(struct groups *g) {
  if (!g) return;
  table_release(&g->table);
  arena_release(&g->arena);
  free(g);
}

static bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

/* "byte 78: found number 12" and "byte 9: found number 3" are one. */
static void write_alike(struct span error, struct buffer *out) {
  error = text_cut_characters(error, ERROR_CHARACTERS);
  for (size_t i = 0; i < error.len; i++) {
    if (is_digit(error.ptr[i])) {
      while (i + 1 < error.len && (is_digit(error.ptr[i + 1]) || error.ptr[i + 1] == '.')) i++;
      buffer_add_char(out, 'N');
    } else if (error.ptr[i] == '"') {
      const char *end = memchr(error.ptr + i + 1, '"', error.len - i - 1);
      buffer_add_z(out, "\"...\"");
      i = end ? (size_t)(end - error.ptr) : error.len;
    } else {
      buffer_add_char(out, error.ptr[i]);
    }
  }
}

static struct group *make_group(struct groups *g, const struct entry_info *info, struct span key,
                                struct span error) {
  struct group *one = g->count < GROUPS_MOST ? arena_zalloc(&g->arena, sizeof *one) : NULL;
  if (!one) return NULL;
  *one = (struct group){.key = arena_span(&g->arena, key),
                        .reason = arena_span(&g->arena, info->reason),
                        .name = arena_span(&g->arena, info->name),
                        .error = arena_span(&g->arena, error),
                        .sample = arena_span(&g->arena, info->id),
                        .first_us = INT64_MAX,
                        .last_us = INT64_MIN};
  if (!one->key.ptr || table_put(&g->table, one->key, one) != ST_OK) return NULL;
  return g->list[g->count++] = one;
}

void groups_add(struct groups *g, const struct entry_info *info) {
  struct buffer key = {0}, error = {0};
  int64_t when = info->failed_us != TIME_NONE ? info->failed_us : info->arrived_us;
  write_alike(info->last_error, &error);
  buffer_printf(&key, "%.*s\n%.*s\n", SPAN_ARGS(info->reason), SPAN_ARGS(info->name));
  buffer_add(&key, buffer_span(&error));
  struct group *one = key.failed ? NULL : table_get(&g->table, buffer_span(&key));
  if (!one && !key.failed) one = make_group(g, info, buffer_span(&key), buffer_span(&error));
  buffer_release(&key);
  buffer_release(&error);
  if (!one) {
    g->others++;
    return;
  }
  one->count++;
  if (when < one->first_us) one->first_us = when;
  if (when > one->last_us) one->last_us = when;
}

static int larger(const void *a, const void *b) {
  const struct group *x = *(struct group *const *)a, *y = *(struct group *const *)b;
  if (x->count != y->count) return x->count > y->count ? -1 : 1;
  return span_cmp(x->key, y->key);
}

void groups_write(struct groups *g, size_t most, struct buffer *json, uint64_t *others) {
  qsort(g->list, g->count, sizeof *g->list, larger);
  *others = g->others;
  buffer_add_char(json, '[');
  for (size_t i = 0; i < g->count; i++) {
    const struct group *one = g->list[i];
    bool first = true;
    if (most && i >= most) {
      *others += one->count;
      continue;
    }
    buffer_add_z(json, i ? ", {" : "{");
    member_text_or_null(json, &first, "reason", one->reason);
    member_text(json, &first, "name", one->name);
    member_text_or_null(json, &first, "error", one->error);
    member_int(json, &first, "count", (int64_t)one->count);
    member_time(json, &first, "first", one->first_us);
    member_time(json, &first, "last", one->last_us);
    member_text(json, &first, "sample", one->sample);
    buffer_add_char(json, '}');
  }
  buffer_add_char(json, ']');
}

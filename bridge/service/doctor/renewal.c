/* The list of topics that a renewal knows.
 * One thread; a crash leaves nothing. */
#include "bridge/service/doctor/new_id.h"

enum status renewal_no_memory(struct error *err) {
  return error_set(err, ST_NO_MEMORY, "out of memory for what is pending");
}

size_t renewal_topic(struct renewal *n, struct span name) {
  for (size_t i = 0; i < n->topic_count; i++)
    if (span_is(name, n->topics[i].name)) return i;
  struct topic_view *grown = realloc(n->topics, (n->topic_count + 1) * sizeof *grown);
  const char *kept = arena_copy(&n->arena, name);
  if (grown) n->topics = grown;
  if (!grown || !kept) return n->no_memory = true, NO_TOPIC;
  n->topics[n->topic_count] =
      (struct topic_view){.name = kept, .from_ms = INT64_MIN, .why = "from its beginning"};
  return n->topic_count++;
}

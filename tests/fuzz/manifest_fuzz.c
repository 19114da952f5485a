/* The text of a manifest: refused, and then nothing is kept; or taken, and then what was read,
 * written and read again is the same. */
#include "bridge/base/text/words.h"
#include "bridge/outbox/file/records/journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct manifest *a, const struct manifest *b) {
  BUG_ON(a->number != b->number || a->count != b->count || strcmp(a->before, b->before) != 0);
  for (size_t i = 0; i < a->count; i++) {
    const struct manifest_entry *x = &a->entries[i], *y = &b->entries[i];
    BUG_ON(x->ref.shelf != y->ref.shelf || x->ref.arrived_ns != y->ref.arrived_ns ||
           memcmp(x->ref.own, y->ref.own, sizeof x->ref.own) != 0);
    BUG_ON(x->event_time != y->event_time || x->duplicate != y->duplicate ||
           !span_eq(x->ref.token, y->ref.token) || !span_eq(x->id, y->id));
    BUG_ON(!span_eq(x->topic, y->topic));
    BUG_ON(!span_eq(x->duplicate ? SPAN("") : text_cut(x->key, MANIFEST_KEY), y->key));
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  struct manifest first, second;
  struct buffer text = {0};
  if (journal_parse((struct span){(const char *)data, size}, &first, NULL) != ST_OK) {
    BUG_ON(first.arena.chunks || first.entries);
    return 0;
  }
  BUG_ON(journal_print(&first, "nonce", &text) !=
         first.count); /* the fuzzer's inputs are smaller */
  enum status st = journal_parse(buffer_span(&text), &second, NULL);
  BUG_ON(st != ST_OK);
  check_same(&first, &second);
  manifest_release(&first);
  manifest_release(&second);
  buffer_release(&text);
  return 0;
}

/* From a command's filter options to a selection, and from that to the query of a request.
 * The command's one thread; a crash leaves nothing. */
#include "admin/input/selection_options.h"

#include "bridge/base/text/escape.h"

bool selecting_take(struct admin *a, const struct command *self, const struct selecting *given,
                    struct selection *out, int *code) {
  const struct {
    const char *word, *value;
  } all[] = {{"type", given->type},   {"namespace", given->namespace},  {"name", given->name},
             {"key", given->key},     {"reason", given->reason},        {"since", given->since},
             {"until", given->until}, {"older-than", given->older_than}};
  int64_t now_us = clock_wall_us(a->clock);
  struct error err = {0};
  selection_init(out);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    if (!all[i].value || selection_set(out, all[i].word, all[i].value, now_us, &err) == ST_OK)
      continue;
    complain(a, "--%s", err.text);
    *code = self->usage_code;
    return false;
  }
  return true;
}

static void add_parameter(void *ctx, const char *word, struct span value) {
  struct buffer *out = ctx;
  if (out->len > 0 && out->ptr[out->len - 1] != '?' && out->ptr[out->len - 1] != '&')
    buffer_add_char(out, '&');
  buffer_printf(out, "%s=", word);
  percent_write(out, value);
}

void selecting_query(const struct selection *s, struct buffer *out) {
  selection_each(s, add_parameter, out);
}

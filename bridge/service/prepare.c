/* An outbox is made ready to be opened, or brought to this release, by who asks for it and nobody
 * else. No service is open meanwhile; what a crash leaves outbox/prepare.h says.
 * One thread. */
#include "bridge/service/operations.h"

static void write_answer(const struct prepare_request *request, const struct store_preparation *p,
                         struct buffer *json) {
  struct buffer outbox = {0};
  bool first = true;
  setting_show(request->settings, SETTING_OUTBOX_URL, &outbox);
  buffer_add_char(json, '{');
  member_int(json, &first, "version", 1);
  member_text(json, &first, "outbox", buffer_span(&outbox));
  member_bool(json, &first, "dry_run", request->dry_run);
  member_int(json, &first, "from", p->was);
  member_int(json, &first, "to", p->is);
  member_int(json, &first, "known", p->known);
  member_text(json, &first, "steps", buffer_span(&p->steps));
  buffer_add_char(json, '}');
  buffer_release(&outbox);
}

enum status service_prepare(const struct prepare_request *request, struct buffer *json,
                            struct error *err) {
  struct store_preparation p = {
      .clock = request->clock, .fresh = !request->migrate, .dry_run = request->dry_run};
  const char *url = setting_text(request->settings, SETTING_OUTBOX_URL);
  enum status st = store_url_check(url, err);
  if (st == ST_OK) st = store_prepare(url, &p, err);
  if (st == ST_OK) write_answer(request, &p, json);
  buffer_release(&p.steps);
  return st == ST_OK ? buffer_status(json, err) : st;
}

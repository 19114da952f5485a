/* Settings as an answer has them, of a worker and of here, and how the two differ.
 * The command's one thread; a crash leaves nothing. */
#include "admin/client/settings_sheet.h"
#include "bridge/service/plan/configure.h"

#define DIFFERENCES_SHOWN 5

void settings_sheet_release(struct settings_sheet *s) {
  json_doc_release(&s->doc);
  buffer_release(&s->json);
  free(s->nodes);
}

static enum status sheet_read(struct settings_sheet *s, struct error *err) {
  uint32_t node = JSON_NONE;
  enum status st = answer_scan(&s->doc, buffer_span(&s->json), err);
  if (st != ST_OK) return st;
  uint32_t array = answer_node(&s->doc, 0, "settings");
  if (array == JSON_NONE || s->doc.nodes[array].type != JSON_ARRAY)
    return error_set(err, ST_INVALID, "The answer has no settings");
  s->nodes = calloc(s->doc.nodes[array].count + 1, sizeof *s->nodes);
  if (!s->nodes) return error_set(err, ST_NO_MEMORY, "Out of memory");
  while (answer_each(&s->doc, array, &node)) s->nodes[s->count++] = node;
  return ST_OK;
}

enum status settings_sheet_local(struct admin *a, struct settings_sheet *s, struct error *err) {
  enum status st = configure_show(a->settings, &s->json, err);
  return st == ST_OK ? sheet_read(s, err) : st;
}

/* Those of a worker, where one runs. False: none does, or it does not tell. */
bool settings_sheet_remote(struct admin *a, struct settings_sheet *s) {
  struct client *client = NULL;
  struct error err = {0};
  enum status st = client_open(a, SERVICE_INSPECT, &client, &err);
  bool remote = st == ST_OK && client_remote(client);
  if (remote) st = client_config(client, &s->json, &err);
  if (remote && st == ST_OK) st = sheet_read(s, &err);
  if (st == ST_OK && client_unanswered(client))
    note(a, "the worker does not answer on its socket, so that its settings are not known");
  client_close(client);
  if (st == ST_DENIED || (remote && st != ST_OK))
    note(a, "the worker's settings are not known: %s", err.text);
  return remote && st == ST_OK;
}

/* ---- worker and here ---- */

bool settings_sheet_is(const struct settings_sheet *s, uint32_t object, const char *key,
                       const char *text) {
  uint32_t node = answer_node(&s->doc, object, key);
  return node != JSON_NONE && s->doc.nodes[node].type == JSON_STRING &&
         json_string_is(&s->doc, node, span_of(text));
}

static uint32_t find_key(const struct settings_sheet *s, const char *key) {
  for (size_t i = 0; i < s->count; i++)
    if (settings_sheet_is(s, s->nodes[i], "key", key)) return s->nodes[i];
  return JSON_NONE;
}

/* "30s (busbridge.conf:3)", or "not set". */
static void add_value(const struct settings_sheet *s, uint32_t object, struct buffer *out) {
  if (object == JSON_NONE) {
    buffer_add_z(out, "not set");
    return;
  }
  answer_text(&s->doc, object, "value", out);
  buffer_add_z(out, " (");
  answer_text(&s->doc, object, "source", out);
  buffer_add_char(out, ')');
}

static void note_difference(struct admin *a, const char *key, const struct settings_sheet *worker,
                            uint32_t there, const struct settings_sheet *local, uint32_t here) {
  struct buffer text = {0};
  bool reload = there != JSON_NONE && answer_bool(&worker->doc, there, "reloadable");
  add_value(worker, there, &text);
  buffer_add_z(&text, "; here it is ");
  add_value(local, here, &text);
  note(a, "%s of the worker is %s; it takes over what its file says by %s", key, buffer_z(&text),
       reload ? "SIGHUP" : "a restart");
  buffer_release(&text);
}

static bool differs(const struct settings_sheet *a, uint32_t x, const struct settings_sheet *b,
                    uint32_t y) {
  struct buffer value = {0};
  if (x == JSON_NONE || y == JSON_NONE) return true;
  answer_text(&b->doc, y, "value", &value);
  bool same = settings_sheet_is(a, x, "value", buffer_z(&value));
  buffer_release(&value);
  return !same;
}

static bool is_of(const char *key, const char *const *of) {
  bool found = !of;
  for (; of && *of && !found; of++) found = strncmp(key, *of, strlen(*of)) == 0;
  return found;
}

/* One direction finds what differs and what is there alone, the other what is here alone. */
static size_t compare_sheets(struct admin *a, const struct settings_sheet *worker,
                             const struct settings_sheet *local, const char *const *of,
                             bool only_here) {
  const struct settings_sheet *from = only_here ? local : worker;
  size_t found = 0;
  for (size_t i = 0; i < from->count; i++) {
    struct buffer key = {0};
    answer_text(&from->doc, from->nodes[i], "key", &key);
    uint32_t there = find_key(worker, buffer_z(&key)), here = find_key(local, buffer_z(&key));
    bool told = !is_of(buffer_z(&key), of) ? false
                : only_here                ? there == JSON_NONE
                                           : differs(worker, there, local, here);
    if (told && ++found <= DIFFERENCES_SHOWN)
      note_difference(a, buffer_z(&key), worker, there, local, here);
    buffer_release(&key);
  }
  return found;
}

void settings_sheet_compare(struct admin *a, const struct settings_sheet *worker,
                            const char *const *of) {
  struct settings_sheet local = {0};
  struct error err = {0};
  if (settings_sheet_local(a, &local, &err) == ST_OK) {
    size_t found =
        compare_sheets(a, worker, &local, of, false) + compare_sheets(a, worker, &local, of, true);
    if (found > DIFFERENCES_SHOWN)
      note(a, "%zu settings differ between the worker and here", found);
  }
  settings_sheet_release(&local);
}

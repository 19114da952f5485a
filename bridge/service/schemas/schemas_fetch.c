/* What the registry has under the subjects of our events, as a folder of schemas: the newest
 * version of each, older ones in its history. The command's one thread; a crash leaves a part of
 * that folder, which is the caller's. */
#include "bridge/base/disk/durable.h"
#include "bridge/registry/registry.h"
#include "bridge/service/operations.h"
#include "bridge/service/plan/subjects.h"
#include "bridge/service/schemas/schemas_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

struct fetching {
  struct registry *registry;
  int top;     /* the folder */
  size_t left; /* schemas that are no Avro there */
  struct error *err;
};

/* name: of the event; number 0: its file, else one of its history. */
static enum status put_file(const struct fetching *f, struct span name, int64_t number,
                            struct span text) {
  const char *dot = memchr(name.ptr, '.', name.len);
  char ns[256], file[300], where[24] = "";
  int history = -1, folder = -1;
  if (number) snprintf(where, sizeof where, ".%lld", (long long)number);
  snprintf(ns, sizeof ns, "%.*s", (int)(dot - name.ptr), name.ptr);
  snprintf(file, sizeof file, "%.*s%s.avsc", (int)(name.ptr + name.len - dot - 1), dot + 1, where);
  enum status st = number ? durable_folder(f->top, ".history", 0700, &history, f->err) : ST_OK;
  if (st == ST_OK) st = durable_folder(number ? history : f->top, ns, 0700, &folder, f->err);
  if (st == ST_OK) st = durable_replace(folder, folder, file, text, f->err);
  if (folder >= 0) close(folder);
  if (history >= 0) close(history);
  return st;
}

static enum status put_version(struct fetching *f, const struct subject_use *use, int64_t version,
                               bool newest) {
  struct registry_schema schema;
  enum registry_said said = registry_version(f->registry, use->subject, version, &schema, f->err);
  if (said == REGISTRY_MISSING) return ST_OK; /* it was deleted meanwhile */
  if (said != REGISTRY_GIVEN) return ST_UNAVAILABLE;
  if ((schema.type.len && !span_is(schema.type, "AVRO")) || schema.references)
    return error_set(f->err, ST_UNSUPPORTED, "%s version %lld is %s", use->subject,
                     (long long)version,
                     schema.references ? "not whole: it names other subjects" : "no Avro schema");
  return put_file(f, span_of(use->schema->event_name), newest ? 0 : version, schema.text);
}

static enum status fetch_one(void *ctx, const struct subject_use *use, struct error *err) {
  struct fetching *f = ctx;
  int64_t versions[REGISTRY_VERSIONS];
  size_t count = 0;
  bool json = framing_needs_id(use->framing) && framing_is_json(use->framing);
  if (json && !use->schema->whole) f->left++;
  if (json || use->schema->whole) return ST_OK;
  enum registry_said said = registry_versions(f->registry, use->subject, versions, &count, err);
  if (said == REGISTRY_MISSING) return ST_OK;
  if (said != REGISTRY_GIVEN) return ST_UNAVAILABLE;
  enum status st = ST_OK;
  for (size_t i = 0; st == ST_OK && i < count; i++) st = put_version(f, use, versions[i], i == 0);
  return st;
}

enum status schemas_fetch(struct schemas *s, const char *folder, size_t *left, struct error *err) {
  struct fetching f = {.err = err};
  f.top = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (f.top < 0) return error_sys(err, errno, "Opening %s", folder);
  enum status st = registry_open(&s->plan.registry, &f.registry, err);
  if (st == ST_OK) st = subjects_each(&s->plan, s->catalog, s->routing, fetch_one, &f, err);
  *left = f.left;
  registry_close(f.registry);
  close(f.top);
  return st;
}

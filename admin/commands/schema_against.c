/* Opens schemas as they were; git, or the registry, fills a folder of its own with them.
 * The command's one thread; a crash leaves that folder below /tmp. */
#include "admin/commands/schema_against.h"
#include "bridge/base/text/words.h"
#include "bridge/json/json.h"

#include <errno.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Its words go where ours go. */
static enum status run_program(const char *const words[], struct error *err) {
  pid_t pid;
  int status = 0;
  fflush(NULL);
  int failed = posix_spawnp(&pid, words[0], NULL, NULL, (char *const *)(uintptr_t)words, environ);
  if (failed) return error_sys(err, failed, "%s", words[0]);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (status == 0) return ST_OK;
  return error_set(err, ST_IO, "%s failed", words[0]);
}

/* One folder as it was, below the scratch folder as number n. */
static enum status unpack(struct schema_past *p, struct span folder, unsigned n,
                          struct error *err) {
  char tar[sizeof p->scratch + 16], into[sizeof p->scratch + 16], name[4096];
  snprintf(tar, sizeof tar, "%s/%u.tar", p->scratch, n);
  snprintf(into, sizeof into, "%s/%u", p->scratch, n);
  snprintf(name, sizeof name, "%.*s", SPAN_ARGS(folder));
  const char *const archive[] = {"git",       "-C", name, "archive", "--format=tar",
                                 p->revision, "-o", tar,  NULL};
  const char *const extract[] = {"tar", "-xf", tar, "-C", into, NULL};
  enum status st = mkdir(into, 0700) == 0 ? ST_OK : error_sys(err, errno, "%s", into);
  if (st == ST_OK) st = run_program(archive, err);
  if (st == ST_OK) st = run_program(extract, err);
  if (st != ST_OK) return error_prefix(err, "revision %s of %s", p->revision, name);
  buffer_printf(&p->folders, "%s%s", n ? " " : "", into);
  return buffer_status(&p->folders, err);
}

static bool is_one_folder(const char *origin) {
  struct stat st;
  return stat(origin, &st) == 0 && S_ISDIR(st.st_mode);
}

static enum status make_scratch(struct schema_past *p, struct error *err) {
  const char *tmp = getenv("TMPDIR");
  int n = snprintf(p->scratch, sizeof p->scratch, "%s/busbridge-schemas-XXXXXX",
                   tmp && strlen(tmp) < 30 ? tmp : "/tmp");
  if (n >= 0 && mkdtemp(p->scratch)) return ST_OK;
  p->scratch[0] = '\0';
  return error_sys(err, errno, "A temporary folder");
}

static enum status fetch(struct schema_past *p, const struct schema_call *c, struct error *err) {
  enum status st = make_scratch(p, err);
  if (st != ST_OK) return st;
  buffer_printf(&p->folders, "%s/0", p->scratch);
  const char *into = buffer_z(&p->folders);
  char count[COUNTED_TEXT];
  size_t left = 0;
  if (mkdir(into, 0700) != 0) return error_sys(err, errno, "%s", into);
  st = schemas_fetch(c->schemas, into, &left, err);
  if (st == ST_OK && left)
    complain(c->a,
             "%s in the registry as JSON Schema (confluent-json), which Avro's rules say nothing "
             "of; ask the registry: busbridge schema register --dry-run",
             counted_text(left, "schema is", "schemas are", count));
  return st;
}

static enum status unpack_all(struct schema_past *p, struct error *err) {
  struct span rest = span_of(p->origin), folder = rest;
  enum status st = make_scratch(p, err);
  if (st != ST_OK) return st;
  if (is_one_folder(p->origin)) return unpack(p, folder, 0, err);
  for (unsigned i = 0; st == ST_OK && span_word(&rest, &folder); i++)
    st = unpack(p, folder, i, err);
  return st;
}

enum status schema_past_open(struct schema_past *p, const struct schema_call *c, const char *origin,
                             struct error *err) {
  *p = (struct schema_past){.revision = c->against_git, .origin = origin};
  if (c->against_registry) *p = (struct schema_past){.revision = "registry", .origin = "subjects"};
  enum status st = ST_OK;
  if (c->against_git && (!*c->against_git || c->against_git[0] == '-'))
    st = error_set(err, ST_INVALID, "%s is not a revision of git", c->against_git);
  else if (c->against_git)
    st = unpack_all(p, err);
  else if (c->against_registry)
    st = fetch(p, c, err);
  else
    buffer_add_z(&p->folders, c->against);
  if (st == ST_INVALID || st == ST_UNAVAILABLE) return st;
  if (st == ST_OK) st = schemas_open(c->a->settings, buffer_z(&p->folders), &p->schemas, err);
  if (st == ST_OK) return st;
  err->status = st = ST_IO; /* a folder that is not there is not an event that is not there */
  if (!p->revision) return st;
  struct buffer text = {0};
  buffer_add_z(&text, err->text);
  schema_past_names(p, false, &text);
  snprintf(err->text, sizeof err->text, "%s", buffer_z(&text));
  buffer_release(&text);
  return st;
}

/* A folder of today, by its number. */
static struct span origin_of(const struct schema_past *p, unsigned long n) {
  struct span rest = span_of(p->origin), folder = rest;
  if (is_one_folder(p->origin)) return folder;
  for (unsigned long i = 0; i <= n; i++)
    if (!span_word(&rest, &folder)) break;
  return folder;
}

/* A folder's name may be any bytes. */
static void put_name(const struct schema_past *p, unsigned long n, bool json, struct buffer *out) {
  struct buffer name = {0}, string = {0};
  buffer_printf(&name, "%s:%.*s", p->revision, SPAN_ARGS(origin_of(p, n)));
  if (json) json_write_string(&string, buffer_span(&name));
  if (json && string.len > 2)
    buffer_append(out, string.ptr + 1, string.len - 2);
  else if (!json)
    buffer_add(out, buffer_span(&name));
  buffer_release(&name);
  buffer_release(&string);
}

void schema_past_names(const struct schema_past *p, bool json, struct buffer *text) {
  size_t length = strlen(p->scratch);
  struct buffer out = {0};
  const char *from = buffer_z(text), *at = from;
  if (!length) return;
  while ((at = strstr(from, p->scratch))) {
    char *end;
    buffer_append(&out, from, (size_t)(at - from));
    unsigned long n = strtoul(at + length + 1, &end, 10);
    put_name(p, n, json, &out);
    from = end;
  }
  buffer_add_z(&out, from);
  if (!out.failed) {
    buffer_clear(text);
    buffer_add(text, buffer_span(&out));
  }
  buffer_release(&out);
}

void schema_past_close(struct schema_past *p) {
  const char *const away[] = {"rm", "-rf", "--", p->scratch, NULL};
  schemas_close(p->schemas);
  if (p->scratch[0]) (void)run_program(away, NULL);
  buffer_release(&p->folders);
}

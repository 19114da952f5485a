/* Appends the audit line. A crash may leave half a line, behind which the next one begins, or,
 * while the log is rotated, no audit.log, which the next line makes.
 * Any thread. */
#include "bridge/service/audit.h"

#include "bridge/service/operations.h"

#include <pwd.h>

#define WHAT_MAX 4096 /* bytes of a line's `what` */
#define ROOM 2048     /* of getpwuid_r */

static const char *user_of(const struct caller *by, char room[ROOM]) {
  struct passwd entry, *found = NULL;
  if (!by || by->uid < 0 || getpwuid_r((uid_t)by->uid, &entry, room, ROOM, &found) != 0 || !found)
    return "";
  return found->pw_name;
}

void caller_name(const struct caller *by, char *out, size_t size) {
  char room[ROOM];
  const char *user = user_of(by, room);
  if (*user || !by || by->uid < 0)
    snprintf(out, size, "%s", user);
  else
    snprintf(out, size, "uid %lld", (long long)by->uid);
}

static void write_user(struct buffer *line, bool *first, const struct caller *by) {
  char room[ROOM];
  json_write_key(line, first, "uid");
  if (by && by->uid >= 0)
    json_write_int(line, by->uid);
  else
    buffer_add_z(line, "null");
  member_text_or_null(line, first, "user", span_of(user_of(by, room)));
}

static void write_line(struct service *s, const struct caller *by, const char *command,
                       struct span what, const struct audit_count *counts, size_t count,
                       struct buffer *line) {
  bool first = true, inner = true;
  buffer_add_char(line, '{');
  member_time(line, &first, "time", clock_wall_us(s->clock));
  write_user(line, &first, by);
  member_text(line, &first, "command", span_of(command));
  member_text(line, &first, "what", what.len > WHAT_MAX ? (struct span){what.ptr, WHAT_MAX} : what);
  json_write_key(line, &first, "counts");
  buffer_add_char(line, '{');
  for (size_t i = 0; i < count; i++)
    member_int(line, &inner, counts[i].word, (int64_t)counts[i].count);
  buffer_add_z(line, "}}\n");
}

void audit_write(struct service *s, const struct caller *by, const char *command, struct span what,
                 const struct audit_count *counts, size_t count) {
  struct buffer line = {0};
  struct error err = {0};
  if (s->mode == SERVICE_INSPECT) return;
  write_line(s, by, command, what, counts, count, &line);
  mutex_lock(&s->audit_lock);
  enum status st = buffer_status(&line, &err);
  if (st == ST_OK) st = store_audit(s->store, buffer_span(&line), &err);
  mutex_unlock(&s->audit_lock);
  if (st != ST_OK)
    log_write(s->log, LOG_WARNING, "service", "audit_not_written",
              FIELDS(F_TEXT("command", command), F_TEXT("error", err.text)),
              "The audit log lacks a line");
  buffer_release(&line);
}

/* Appends the audit line. A crash may leave half a line, behind which the next one begins, or, while the log is
 * rotated, no audit.log, which the next line makes. */
#include "bridge/service/audit.h"

#include "bridge/base/durable.h"
#include "bridge/service/operations.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <unistd.h>

#define WHAT_MAX 4096 /* bytes of a line's `what` */
#define ROOM 2048     /* of getpwuid_r */

static const char *user_of(const struct caller *by, char room[ROOM]) {
  struct passwd entry, *found = NULL;
  if (!by || by->uid < 0 || getpwuid_r((uid_t)by->uid, &entry, room, ROOM, &found) != 0 || !found) return "";
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

static void write_line(struct service *s, const struct caller *by, const char *command, struct span what,
                       const struct audit_count *counts, size_t count, struct buffer *line) {
  bool first = true, inner = true;
  buffer_add_char(line, '{');
  member_time(line, &first, "time", clock_wall_us(s->clock));
  write_user(line, &first, by);
  member_text(line, &first, "command", span_of(command));
  member_text(line, &first, "what", what.len > WHAT_MAX ? (struct span){what.ptr, WHAT_MAX} : what);
  json_write_key(line, &first, "counts");
  buffer_add_char(line, '{');
  for (size_t i = 0; i < count; i++) member_int(line, &inner, counts[i].word, (int64_t)counts[i].count);
  buffer_add_z(line, "}}\n");
}

static bool ends_in_a_line(int fd, off_t size) {
  char last = '\n';
  return size == 0 || (pread(fd, &last, 1, size - 1) == 1 && last == '\n');
}

/* A crash before the folder is synced loses an empty file, after it one that may hold the line. */
static enum status append(int folder, struct buffer *line, struct error *err) {
  struct stat st;
  int fd = openat(folder, AUDIT_FILE, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return error_sys(err, errno, "opening %s", AUDIT_FILE);
  enum status rc = fstat(fd, &st) == 0 ? ST_OK : error_sys(err, errno, "looking at %s", AUDIT_FILE);
  struct buffer text = {0};
  if (rc == ST_OK && !ends_in_a_line(fd, st.st_size)) buffer_add_char(&text, '\n');
  buffer_add(&text, buffer_span(line));
  if (rc == ST_OK) rc = buffer_status(&text, err);
  if (rc == ST_OK) rc = durable_append_sync(fd, buffer_span(&text), err);
  if (rc == ST_OK && st.st_size == 0) rc = durable_sync_folder(folder, err);
  buffer_release(&text);
  close(fd);
  return rc;
}

/* A crash in between leaves no audit.log, which is made with the next line. */
static enum status make_room(int folder, struct error *err) {
  struct stat st;
  if (fstatat(folder, AUDIT_FILE, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_size < AUDIT_MAX) return ST_OK;
  return durable_rename(folder, AUDIT_FILE, folder, AUDIT_FILE ".1", err);
}

void audit_write(struct service *s, const struct caller *by, const char *command, struct span what,
                 const struct audit_count *counts, size_t count) {
  struct buffer line = {0};
  struct error err = {0};
  int folder = home_folder(s->home);
  if (s->mode == SERVICE_INSPECT || folder < 0) return;
  write_line(s, by, command, what, counts, count, &line);
  pthread_mutex_lock(&s->audit_lock);
  enum status st = buffer_status(&line, &err);
  if (st == ST_OK) st = make_room(folder, &err);
  if (st == ST_OK) st = append(folder, &line, &err);
  pthread_mutex_unlock(&s->audit_lock);
  if (st != ST_OK)
    log_write(s->log, LOG_WARNING, "service", "audit_not_written",
              FIELDS(F_TEXT("command", command), F_TEXT("error", err.text)), "The audit log lacks a line");
  buffer_release(&line);
}

/* Starts the editor that the environment names on a file of our own.
 * The command's one thread; a crash leaves the file. */
#include "admin/input/editor.h"

#include "bridge/base/disk/durable.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#define TEXT_MOST ((size_t)64 << 20)

static const char *named_editor(void) {
  const char *visual = getenv("VISUAL"), *editor = getenv("EDITOR");
  return visual && *visual ? visual : editor && *editor ? editor : NULL;
}

static enum status write_file(struct edited *e, struct span text, struct error *err) {
  const char *folder = getenv("TMPDIR");
  snprintf(e->path, sizeof e->path, "%.200s/busbridge-XXXXXX.json",
           folder && *folder ? folder : "/tmp");
  int fd = mkstemps(e->path, strlen(".json"));
  if (fd < 0) {
    enum status st = error_sys(err, errno, "making %s", e->path);
    *e->path = '\0';
    return st;
  }
  enum status st = ST_OK;
  for (size_t done = 0; st == ST_OK && done < text.len;) {
    ssize_t n = write(fd, text.ptr + done, text.len - done);
    if (n < 0 && errno != EINTR) st = error_sys(err, errno, "writing %s", e->path);
    if (n > 0) done += (size_t)n;
  }
  close(fd);
  return st;
}

/* Words of its own may stand behind its name, as in "code --wait". */
static enum status run(const char *editor, const char *path, struct error *err) {
  char line[1024], shell[] = "sh", command[] = "-c";
  char *argv[] = {shell, command, line, shell, (char *)(uintptr_t)path, NULL};
  pid_t pid;
  int ended;
  snprintf(line, sizeof line, "%.1000s \"$1\"", editor);
  int failed = posix_spawnp(&pid, "sh", NULL, NULL, argv, environ);
  if (failed) return error_sys(err, failed, "starting %s", editor);
  while (waitpid(pid, &ended, 0) < 0)
    if (errno != EINTR) return error_sys(err, errno, "waiting for %s", editor);
  if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return ST_OK;
  return error_set(err, ST_CANCELLED, "%s ended with a failure; nothing was changed", editor);
}

static enum status read_back(const struct edited *e, struct buffer *out, struct error *err) {
  int fd = open(e->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return error_sys(err, errno, "opening %s", e->path);
  enum status st = stream_read(fd, e->path, TEXT_MOST, out, err);
  close(fd);
  return st;
}

enum status editor_open(struct edited *e, struct span text, struct buffer *out, struct error *err) {
  const char *editor = named_editor();
  if (!editor)
    return error_set(err, ST_UNSUPPORTED,
                     "No editor is named: set VISUAL or EDITOR, or give the payload by: busbridge "
                     "replay ID --payload '{...}'");
  enum status st = *e->path ? ST_OK : write_file(e, text, err);
  if (st == ST_OK) st = run(editor, e->path, err);
  return st == ST_OK ? read_back(e, out, err) : st;
}

void editor_remove(struct edited *e) {
  char *slash = strrchr(e->path, '/');
  if (!slash) return;
  *slash = '\0';
  int folder = open(e->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  enum status st = folder < 0 ? ST_OK : durable_unlink(folder, slash + 1, NULL);
  (void)st; /* it may be gone */
  if (folder >= 0) close(folder);
  *e->path = '\0';
}

/* Tells what waits in the older typed bus's own outbox while nothing reads it.
 * Any thread; it changes nothing, so a crash leaves nothing. */
#include "bridge/service/typed_hint.h"

#include "bridge/base/text/words.h"
#include "bridge/outbox/store.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *typed_folder(const struct settings *settings) {
  const char *typed = setting_text(settings, SETTING_OUTBOX_TYPED);
  return *typed ? typed : NULL;
}

static uint64_t count_files(const char *folder) {
  uint64_t count = 0;
  DIR *dir = opendir(folder);
  for (struct dirent *e; dir && (e = readdir(dir));)
    count += *e->d_name != '.' && span_ends(span_of(e->d_name), ".json") && e->d_type != DT_DIR;
  if (dir) closedir(dir);
  return count;
}

/* Of an outbox called bus_outbox, whose path is in folder: the other's path takes its place. */
static uint64_t count_beside(char folder[PATH_MAX]) {
  static const char called[] = "bus_outbox";
  char pending[PATH_MAX + sizeof "/pending"];
  size_t len = strlen(folder), last = sizeof called - 1;
  while (len > 1 && folder[len - 1] == '/') folder[--len] = '\0';
  if (!span_ends((struct span){folder, len}, called) ||
      (len > last && folder[len - last - 1] != '/'))
    return 0;
  memcpy(folder + len - last, "outbox", sizeof "outbox"); /* shorter than what stood there */
  snprintf(pending, sizeof pending, "%s/pending", folder);
  return count_files(pending);
}

/* A link may be called so, or what it leads to. */
uint64_t typed_unread(const struct settings *settings, char folder[PATH_MAX]) {
  const char *outbox = store_path(setting_text(settings, SETTING_OUTBOX_URL));
  if (typed_folder(settings) || !outbox) return 0;
  uint64_t found = realpath(outbox, folder) ? count_beside(folder) : 0;
  if (found || strlen(outbox) >= PATH_MAX) return found;
  memcpy(folder, outbox, strlen(outbox) + 1);
  return count_beside(folder);
}

/* As doctor tells it. */
static void log_doubt(struct store *store, struct log *log) {
  struct examined told;
  store_examine(store, EXAMINE_SECOND, &told);
  if (told.verdict == EXAMINED_DOUBTFUL || told.verdict == EXAMINED_FAILED)
    log_write(log, LOG_WARNING, "service", "typed_doubtful", NO_FIELDS, "outbox.typed: %s. %s",
              buffer_z(&told.text), buffer_z(&told.next));
  buffer_release(&told.text);
  buffer_release(&told.next);
}

void typed_log(const struct settings *settings, struct store *store, struct log *log) {
  char folder[PATH_MAX], number[COUNTED_TEXT];
  uint64_t unread = typed_unread(settings, folder);
  bool forgets = !strcmp(setting_text(settings, SETTING_REDIS_URL), "off");
  if (unread)
    log_write(log, LOG_WARNING, "service", "typed_unread",
              FIELDS(F_INT("files", unread), F_TEXT("path", folder)),
              "%s in the pending/ of the older typed bus, which is not read; outbox.typed=%s "
              "publishes them, however old they are",
              counted_text(unread, "file waits", "files wait", number), folder);
  if (typed_folder(settings)) log_doubt(store, log);
  if (typed_folder(settings) && forgets)
    log_write(
        log, LOG_WARNING, "service", "typed_without_redis", NO_FIELDS,
        "An event that comes by both buses is published twice when its copy arrives after the "
        "first one is settled: redis.url is off, and nothing else remembers its id");
}

#include "bridge/service/configure.h"

#include <errno.h>
#include <sys/stat.h>

#define VARIABLE "BUSBRIDGE_CONFIG="

static bool is_ours(const char *variable) {
  return strncmp(variable, VARIABLE, strlen(VARIABLE)) == 0;
}

const char *configure_file(const struct configure *c) {
  if (c->file) return c->file;
  for (size_t i = 0; c->environment && c->environment[i]; i++)
    if (is_ours(c->environment[i]) && c->environment[i][strlen(VARIABLE)]) return c->environment[i] + strlen(VARIABLE);
  /* What is there and cannot be read, a folder that lets nobody look, a link to nowhere: none of them is "no file". */
  struct stat st;
  bool absent = lstat(CONFIGURE_DEFAULT, &st) != 0 && (errno == ENOENT || errno == ENOTDIR);
  return absent ? NULL : CONFIGURE_DEFAULT;
}

enum status configure_load(const struct configure *c, struct settings **out, struct buffer *warnings,
                           struct error *err) {
  size_t count = 0, kept = 0;
  while (c->environment && c->environment[count]) count++;
  /* It is no setting, so settings_load would warn of it. */
  const char **environment = calloc(count + 1, sizeof *environment);
  if (!environment) return error_set(err, ST_NO_MEMORY, "Out of memory");
  for (size_t i = 0; i < count; i++)
    if (!is_ours(c->environment[i])) environment[kept++] = c->environment[i];
  struct settings_sources sources = {.file = configure_file(c),
                                     .environment = environment,
                                     .overrides = c->overrides,
                                     .override_count = c->override_count};
  enum status st = settings_load(&sources, out, warnings, err);
  free(environment);
  return st;
}

/* settings_private.h - what the files of this module share; nobody else includes it (the fuzzer
 * does).
 *
 * A load goes: defaults, file, environment, -X; each assignment passes settings_assign, the one
 * place that changes a value. All strings live in the arena of the settings object.
 */
#ifndef BRIDGE_SETTINGS_SETTINGS_PRIVATE_H
#define BRIDGE_SETTINGS_SETTINGS_PRIVATE_H

#include "bridge/settings/settings.h"

#define SETTINGS_FILE_MAX (1024 * 1024)
#define SETTINGS_SECRET_MAX (64 * 1024)

struct setting_value {
  const char *text; /* as written */
  int64_t number;   /* NUMBER, DURATION, BYTES; BOOL: 0 or 1 */
  const char *source;
};

struct setting_pair {
  const char *key, *value, *source;
};
struct setting_pairs { /* sorted by key */
  struct setting_pair *at;
  size_t count, cap;
};

struct settings {
  struct arena arena;
  struct setting_value values[SETTING_COUNT];
  struct setting_pairs kafka, routes;
  const char *runtime; /* busbridge's runtime directory, by the environment; NULL: it tells none */
};

/* One load under way. read_files=false (fuzzing): "key_file" does not open anything. */
struct loading {
  struct settings *s;
  struct buffer *warnings; /* may be NULL */
  struct error *err;
  bool read_files;
  struct buffer *errors; /* as of settings_sources */
};

/* Where an assignment stands. It is shown as "<place>: <key>: ..." for a line of a file,
 * "<place>=<value>: ..." elsewhere. */
struct origin {
  const char *source; /* what setting_source answers; lives as long as the settings */
  struct span place;  /* "busbridge.conf:3", "BUSBRIDGE_FLUSH_INTERVAL", "-X flush.interval" */
  bool in_file;
};

MUST_CHECK enum status settings_defaults(struct settings *s, struct error *err);
/* key as in the file, "_file" still on it. */
MUST_CHECK enum status settings_assign(struct loading *l, const struct origin *o, struct span key,
                                       struct span value);
/* The text of a configuration file; name is for messages. */
MUST_CHECK enum status settings_parse_file(struct loading *l, const char *name, struct span text);
MUST_CHECK enum status settings_parse_environment(struct loading *l,
                                                  const char *const *environment);
/* Read a file whole, following links (Kubernetes mounts are links), at most limit bytes. what: for
 * messages. */
MUST_CHECK enum status settings_read(const char *path, size_t limit, struct buffer *out,
                                     struct error *err);

/* settings_routes.c: is it of the form routing.A.B? Then no row of the table is meant. */
bool route_like(struct span key);
/* Which attribute it names; none: why gets the nearest, or all. */
MUST_CHECK enum status route_attribute(struct span key, const struct setting_row **out,
                                       struct error *why);
bool route_variable(struct span rest); /* what stands behind BUSBRIDGE_ would be a route */
const char *route_source(const struct settings *s, struct span key); /* NULL: it is not set */

/* Does text fit the row? Fills *number; else *why gets "a duration needs a unit: ..." */
MUST_CHECK enum status setting_parse(const struct setting_row *row, struct span text,
                                     int64_t *number, struct error *why);
/* "100ms to 1d", "at least 0"; nothing where the row has no range. */
void setting_range(const struct setting_row *row, struct buffer *out);
/* SETTING_COUNT when there is no such row. */
enum setting setting_find(struct span key);
/* The known key most like this one, NULL when none is near. The second compares as environment
 * variables do. */
const char *setting_nearest(struct span key);
const char *setting_nearest_variable(struct span name);
/* The choice most like it, empty when none is near. */
struct span setting_nearest_choice(const struct setting_row *row, struct span word);

#endif

/* settings.h - every setting, in one table; read from file, environment and -X, in rising order.
 *
 * The table (settings_table.h, an X-macro) gives each key's type, default, range, whether SIGHUP
 * reloads it, and its help; parser, --help-settings and busbridge.conf(5) are made from it. Values
 * are checked when they are set: errors name file and line (or variable, or -X) and the nearest
 * known key. A settings object is immutable once loaded: any thread may read.
 */
#ifndef BRIDGE_SETTINGS_SETTINGS_H
#define BRIDGE_SETTINGS_SETTINGS_H

#include "bridge/base/log.h"
#include "bridge/settings/settings_table.h"

/* clang-format off */
/* Where values come from:
 *
 *   file          key = value      a line each; # comments (a whole line), no quoting, blanks trimmed,
 *                                  UTF-8. Durations carry a unit (ms s m h d), sizes may (KiB MiB GiB,
 *                                  kB MB GB; none: bytes)
 *                 key_file = PATH  takes the value from a file (last newline cut)
 *   environment   BUSBRIDGE_FLUSH_INTERVAL           flush.interval: a key's dots and underscores both
 *                                                    become underscores
 *                 BUSBRIDGE_KAFKA_A_B                kafka.a.b
 *                 ..._FILE                           as key_file
 *                 any other BUSBRIDGE_*              a warning
 *                 *_SERVICE_HOST *_SERVICE_PORT*     Kubernetes' own: ignored
 *                 *_PORT *_PORT_*
 *                 RUNTIME_DIRECTORY XDG_RUNTIME_DIR  as settings_state_dirs says
 *                 NOVELER_DISABLE_BACKGROUND_FLUSH=1 flush.background=false, unless
 *                                                    BUSBRIDGE_FLUSH_BACKGROUND or -X says otherwise
 *   command line  -X key=value
 *
 * A route, routing.PATTERN.ATTRIBUTE, has no variable: dots and underscores of its pattern could not
 * be told apart there.
 */
/* clang-format on */

enum setting {
#define X(id, key, type, fallback, low, high, flags, choices, help) SETTING_##id,
  SETTINGS_TABLE(X)
#undef X
      SETTING_COUNT
};

enum setting_type {
  SETTING_TEXT,
  SETTING_NUMBER,
  SETTING_DURATION,
  SETTING_BYTES,
  SETTING_BOOL,
  SETTING_CHOICE
};
enum { SETTING_RELOADABLE = 1, SETTING_SECRET = 2 };

struct setting_row {
  const char *key;
  enum setting_type type;
  const char *fallback; /* the default as one would write it */
  int64_t low, high;    /* of numbers, durations (ms), bytes */
  const char
      *choices; /* of SETTING_CHOICE: "a b !c"; !c is known, and refused until it works. Else "" */
  unsigned flags;
  const char *help;
};
const struct setting_row *setting_row(enum setting s);

struct settings;
struct settings_sources {
  const char *file;               /* NULL: none */
  const char *const *environment; /* environ, or NULL */
  const char *const *overrides;   /* "key=value" of -X, in order */
  size_t override_count;
  struct buffer *errors; /* not NULL: lines of the file that are wrong are put here, one a line, and
                            left out */
};
/* ST_INVALID: err has "FILE:LINE: key: what is wrong, nearest key, allowed range". Warnings go to
 * *warnings (one a line). */
MUST_CHECK enum status settings_load(const struct settings_sources *sources, struct settings **out,
                                     struct buffer *warnings, struct error *err);
void settings_free(struct settings *s);

const char *setting_text(const struct settings *s,
                         enum setting key); /* TEXT and CHOICE; never NULL */
int64_t setting_number(const struct settings *s,
                       enum setting key); /* NUMBER, DURATION (ms), BYTES */
bool setting_bool(const struct settings *s, enum setting key);
/* Where a value comes from: "default", "FILE:LINE", "BUSBRIDGE_X", "-X". */
const char *setting_source(const struct settings *s, enum setting key);

#define STATE_DIRS 2
/* Where state.dir is looked for: as it is set, else the runtime directories that there may be, the
 * likeliest first. Returns how many. RUNTIME_DIRECTORY is the service manager's, XDG_RUNTIME_DIR a
 * login's. */
size_t settings_state_dirs(const struct settings *s, const char *dirs[STATE_DIRS]);

/* Routes: the pairs routing.PATTERN.ATTRIBUTE, sorted by key, last one wins; false at the end. What
 * PATTERN and value may be is judged by who uses them (bridge/routing). */
struct setting_route {
  const char *key, *value, *source;    /* the key whole; source: as setting_source */
  const struct setting_row *attribute; /* as below */
};
bool settings_route(const struct settings *s, size_t i, struct setting_route *out);
/* The attributes there are: key is the word, there is no default. NULL at the end. */
const struct setting_row *settings_route_attribute(size_t i);

/* The kafka.* pairs, key without that prefix, sorted, last one wins; false at the end. */
bool settings_kafka(const struct settings *s, size_t i, const char **key, const char **value);
const char *settings_kafka_source(const struct settings *s, size_t i); /* as setting_source */

/* For people to see: append the value as it was written, with "***" for what must not be shown:
 * values of secret rows and of kafka.* keys that carry one (sasl.password, ssl.key.password,
 * ssl.key.pem, ...), user and query of every URL. Returns whether anything was hidden. */
bool setting_show(const struct settings *s, enum setting key, struct buffer *out);
bool settings_kafka_show(const struct settings *s, size_t i, struct buffer *out);

/* --help-settings: a table of all keys on a terminal of that width; and the mdoc list for
 * busbridge.conf(5). */
void settings_help(struct buffer *out, int width);
void settings_mdoc(struct buffer *out);
/* Keys whose values differ and that a reload may not change, one a line; used by SIGHUP. */
void settings_fixed_changes(const struct settings *old, const struct settings *fresh,
                            struct buffer *out);

#endif

/* schema_folder.h - a folder of schemas with two events: the records of episode.noted have no map
 * extra, episode.rated names its key. */
#ifndef TESTS_UNIT_SCHEMA_FOLDER_H
#define TESTS_UNIT_SCHEMA_FOLDER_H

#include "tests/support/test.h"

#include <sys/stat.h>

#define RECORD(name, fields)                                                                       \
  "{\"type\": \"record\", \"name\": \"" name "\", \"fields\": [" fields "]}"
#define TEXT_FIELD(name) "{\"name\": \"" name "\", \"type\": \"string\"}"
#define ENVELOPE_RECORD                                                                            \
  RECORD("Envelope",                                                                               \
         TEXT_FIELD("id") ", " TEXT_FIELD("name") ", " TEXT_FIELD(                                 \
             "created_at") ", {\"name\": \"payload\", \"type\": \"string\", \"json\": true}")
#define NOTED_RECORD                                                                               \
  RECORD("Noted", "{\"name\": \"lines\", \"type\": {\"type\": \"array\", \"items\": " RECORD(      \
                      "Line", TEXT_FIELD("text")) "}}")

#define RATED_RECORD                                                                               \
  RECORD("Rated",                                                                                  \
         "{\"name\": \"rater\", \"type\": \"string\", \"key\": true}, " TEXT_FIELD("episode_id"))

/* A payload of the first, and the paths of what has no place. */
#define NOTED                                                                                      \
  "{\"lines\": [{\"text\": \"a\", \"line\": 1, \"hint\": 2}, {\"text\": \"b\", \"line\": 3}]}"
#define NOTED_UNPLACED "payload.lines[].line, payload.lines[].hint"

static inline void schema_write(const char *folder, const char *ns, const char *file,
                                const char *text) {
  char path[400];
  snprintf(path, sizeof path, "%s/%s", folder, ns);
  (void)mkdir(folder, 0700);
  (void)mkdir(path, 0700);
  snprintf(path, sizeof path, "%s/%s/%s", folder, ns, file);
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  assert_true(fputs(text, f) >= 0);
  assert_int_equal(fclose(f), 0);
}

/* Below an outbox, which is removed with it. setting: "encoding.schemas=...". */
static inline void schema_folder_make(const char *outbox, char setting[static 400]) {
  char folder[300];
  snprintf(folder, sizeof folder, "%s/schemas", outbox);
  schema_write(folder, ".", "envelope.avsc", ENVELOPE_RECORD);
  schema_write(folder, "episode", "noted.avsc", NOTED_RECORD);
  schema_write(folder, "episode", "rated.avsc", RATED_RECORD);
  snprintf(setting, 400, "encoding.schemas=%s", folder);
}

#endif

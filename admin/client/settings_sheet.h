/* settings_sheet.h - the settings in force, of the worker where one runs or those here, and how the
 * two differ. One thread.
 */
#ifndef ADMIN_SETTINGS_SHEET_H
#define ADMIN_SETTINGS_SHEET_H

#include "admin/client/answer.h"
#include "admin/client/client.h"

/* An answer and the objects in it that are shown. */
struct settings_sheet {
  struct buffer json;
  struct json_doc doc;
  uint32_t *nodes;
  size_t count;
};
void settings_sheet_release(struct settings_sheet *s);
MUST_CHECK enum status settings_sheet_local(struct admin *a, struct settings_sheet *s,
                                            struct error *err);
/* Those of a worker, where one runs. False: none does, or it does not tell, which is noted. */
bool settings_sheet_remote(struct admin *a, struct settings_sheet *s);
/* Notes which of the worker's settings are others here. of: beginnings of the keys that are meant,
 * ended by NULL; NULL: all. */
void settings_sheet_compare(struct admin *a, const struct settings_sheet *worker,
                            const char *const *of);
/* Is that member of one of its objects that text? */
bool settings_sheet_is(const struct settings_sheet *s, uint32_t object, const char *key,
                       const char *text);

#endif

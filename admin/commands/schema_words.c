/* What the verbs of busbridge schema share.
 * The command's one thread; a crash leaves nothing. */
#include "admin/commands/schema_verbs.h"
#include "bridge/base/text/escape.h"
#include "bridge/base/text/words.h"

#include <sys/stat.h>

void schema_add_text(struct admin *a, const struct json_doc *doc, uint32_t node, const char *key) {
  struct buffer text = {0};
  answer_text(doc, node, key, &text);
  text_printable(&a->out, buffer_span(&text));
  buffer_release(&text);
}

bool schema_is_folder(const char *path) {
  struct stat st;
  return strchr(path, '/') || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

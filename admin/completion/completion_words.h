/* completion_words.h - what may stand at a place of the command line; for completion in shells.
 *
 * Commands, options and their choices come from the tables; ids, events, topics from the outbox,
 * the schemas and the settings, by -c and -X as far as they are on the line already. What cannot be
 * found out is left out: nothing is complained of.
 */
#ifndef ADMIN_COMPLETION_WORDS_H
#define ADMIN_COMPLETION_WORDS_H

#include "admin/admin.h"

/* words: those behind the program's name; the last is the one being typed, maybe empty. Appends
 * lines "WORD TAB TEXT" to a->out, each beginning with what is typed; or the one line ":files",
 * which leaves it to the shell. */
void candidates_find(struct admin *a, int count, char **words);

#endif

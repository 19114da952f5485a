/* Turns the table of events and fields into text, for --help-events and for the manual page.
 * Any thread; a crash leaves nothing. */
#include "bridge/base/log_events.h"

static const struct event_row {
  const char *component, *event, *level, *meaning;
} events[] = {
#define X(component, event, level, meaning) {(component), (event), (level), (meaning)},
    LOG_EVENTS(X)
#undef X
};

static const struct field_row {
  const char *name, *meaning;
} fields[] = {
#define X(name, meaning) {(name), (meaning)},
    LOG_FIELDS(X)
#undef X
};

void log_events_mdoc(struct buffer *out) {
  buffer_add_z(out, ".Bl -tag -width duration_ms -compact\n");
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    buffer_printf(out, ".It Va %s\n%s.\n", fields[i].name, fields[i].meaning);
  buffer_add_z(
      out, ".El\n.Pp\nThe events, by component, with their level:\n.Bl -tag -width Ds -compact\n");
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    buffer_printf(out, ".It Ic %s Pq %s, %s\n%s.\n", events[i].event, events[i].component,
                  events[i].level, events[i].meaning);
  buffer_add_z(out, ".El\n");
}

void log_events_print(struct buffer *out) {
  for (size_t i = 0; i < sizeof events / sizeof *events; i++)
    buffer_printf(out, "%-9s %-25s %-8s %s\n", events[i].component, events[i].event,
                  events[i].level, events[i].meaning);
}

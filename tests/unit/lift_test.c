/* lift_test.c - events in the envelope of the older typed bus: which are lifted out of it, what
 * they are then, and what is left. */

#include "bridge/routing/routing.h"
#include "tests/support/test.h"

struct bench {
  struct routing *routing;
  struct event_lifting lifting;
  struct arena arena;
  struct json_doc doc;
  struct event event;
  struct buffer text;
  struct error err;
};

static int set_up(void **state) {
  struct bench *b = calloc(1, sizeof *b);
  struct routing_config config = {.namespaces = SPAN("episode quality plot usecase"),
                                  .topic = SPAN("{namespace}.events"),
                                  .aliases = SPAN("OrderPlacedEvent=episode.ordered")};
  *state = b;
  if (!b || routing_open(&config, &b->routing, &b->err) != ST_OK) return -1;
  b->lifting = (struct event_lifting){.canonical = routing_class_name, .ctx = b->routing};
  return 0;
}

static int tear_down(void **state) {
  struct bench *b = *state;
  routing_close(b->routing);
  json_doc_release(&b->doc);
  arena_release(&b->arena);
  buffer_release(&b->text);
  free(b);
  return 0;
}

static enum reason read(struct bench *b, const char *text) {
  memset(&b->err, 0, sizeof b->err);
  if (json_scan(&b->doc, span_of(text), &b->err) != ST_OK) fail_msg("%s: %s", text, b->err.text);
  return event_read(&b->doc, &b->lifting, &b->arena, &b->event, &b->err);
}

/* An entry of that name, whose payload is an envelope of that type; members stand in front of data.
 */
static enum reason read_enveloped(struct bench *b, const char *name, const char *type,
                                  const char *members, const char *data) {
  buffer_clear(&b->text);
  buffer_printf(&b->text,
                "{\"id\": \"flat-1\", \"name\": \"%s\", \"created_at\": \"2025-01-01T00:00:00Z\", "
                "\"payload\": {\"event_type\": \"%s\", \"occurred_at\": "
                "\"2025-11-03T07:15:42.250000+00:00\", %s\"data\": %s}}",
                name, type, members, data);
  return read(b, buffer_z(&b->text));
}

#define assert_span(s, z)                                                                          \
  do {                                                                                             \
    if (!span_is((s), (z))) fail_msg("\"%.*s\" is not \"%s\"", SPAN_ARGS(s), (z));                 \
  } while (0)

#define CASE(name) TEST_WITH(name, set_up, tear_down)

/* ---- names of classes ---- */

CASE(names_of_classes_become_names_of_events) {
  struct bench *b = *state;
  static const char *const rows[][2] = {
      {"EpisodeCreated", "episode.created"},
      {"EpisodeCreatedEvent", "episode.created"},
      {"EpisodeContentUpdated", "episode.updated"},
      {"PlotQualityCheckCompletedEvent", "plot.quality_check_completed"},
      {"MasterPlotUpdated", "plot.master_updated"},
      {"quality_checked", "quality.checked"},
      {"OrderPlaced", "episode.ordered"},
      {"OrderPlacedEvent", "episode.ordered"},
      {"plot.outline.approved", "plot.outline.approved"},
      {"PlotOutlineApproved", "plot.outline_approved"},
      {"PlotOutlineApprovedEvent", "plot.outline_approved"},
      {"PlotURLChanged", "plot.url_changed"},
      {"PlotURL", "plot.url"},
      {"PlotV2Updated", "plot.v2_updated"},
      {"Plot2Updated", "plot.2_updated"},
      {"plot_outline_approved", "plot.outline_approved"},
      {"PlotEventAdded", "plot.event_added"},
      {"OrderShipped", "order.shipped"},
      {"usecaseRun", "usecase.run"},
  };
  char out[EVENT_NAME_MAX + 1];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    if (!routing_class_name(b->routing, span_of(rows[i][0]), out)) fail_msg("%s", rows[i][0]);
    assert_string_equal(out, rows[i][1]);
  }
}

CASE(a_class_of_one_word_or_odd_characters_has_no_name) {
  struct bench *b = *state;
  static const char *const rows[] = {"Plot",
                                     "PlotEvent",
                                     "Event",
                                     "_",
                                     "__",
                                     "plot_",
                                     "Plot.Saved",
                                     "plot.",
                                     ".saved",
                                     "Plot Saved",
                                     "Pl\xc3\xb6tSaved",
                                     "GenericEvent"};
  char out[EVENT_NAME_MAX + 1], longer[EVENT_NAME_MAX + 20];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (routing_class_name(b->routing, span_of(rows[i]), out)) fail_msg("%s: %s", rows[i], out);
  for (size_t len = EVENT_NAME_MAX - 8; len < sizeof longer; len++) {
    memset(longer, 'a', len);
    memcpy(longer, "Plot", 4);
    for (size_t i = 4; i < len; i++) longer[i] = i % 2 ? 'a' : 'A';
    bool named = routing_class_name(b->routing, (struct span){longer, len}, out);
    if (named) assert_true(strlen(out) <= EVENT_NAME_MAX);
  }
}

/* ---- which are lifted ---- */

CASE(what_that_bridge_wrote_is_lifted) {
  struct bench *b = *state;
  static const char *const rows[][3] = {
      {"episode.episodecreated", "EpisodeCreated", "episode.created"},
      {"episode.episodecreated", "EpisodeCreatedEvent", "episode.created"},
      {"quality.plotqualitycheckcompleted", "PlotQualityCheckCompleted",
       "plot.quality_check_completed"},
      {"plot.plotsaved", "PlotSaved", "plot.saved"},
      {"plot.plotoutlineapproved", "PlotOutlineApproved", "plot.outline_approved"},
      {"order.ordershipped", "OrderShippedEvent", "order.shipped"},
      /* both have the same canonical name */
      {"episode.created", "EpisodeCreated", "episode.created"},
      {"episode_created", "episode.created", "episode.created"},
      {"plot.outline_approved", "PlotOutlineApproved", "plot.outline_approved"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(read_enveloped(b, rows[i][0], rows[i][1], "", "{\"a\": 1}"), REASON_NONE);
    if (!b->event.lifted) fail_msg("%s", rows[i][0]);
    assert_span(b->event.name, rows[i][2]);
    assert_span(json_slice(&b->doc, b->event.payload), "{\"a\": 1}");
  }
}

CASE(a_foreign_payload_of_that_shape_stays_as_it_is) {
  struct bench *b = *state;
  static const char *const rows[][2] = {
      {"episode.created", "EpisodeUpdated"},
      {"plot.saved", "plot.updated"},
      {"plot.episodecreated", "EpisodeCreated"}, /* plot is not a part of it */
      {"episode.created_", "EpisodeCreated"},
      {"audit.entry", "EpisodeCreated"},
      {"Plot", "Plot"},
      {"episode.", "Episode"},
      {".episodecreated", "EpisodeCreated"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(
        read_enveloped(b, rows[i][0], rows[i][1], "\"event_id\": \"in-1\", ", "{\"a\": 1}"),
        REASON_NONE);
    if (b->event.lifted) fail_msg("%s", rows[i][0]);
    assert_span(b->event.name, rows[i][0]);
    assert_span(b->event.id, "flat-1");
    assert_int_equal(b->event.payload, json_member(&b->doc, 0, "payload"));
  }
}

CASE(what_lacks_a_part_of_an_envelope_is_none) {
  struct bench *b = *state;
  static const char *const payloads[] = {
      "{\"event_type\": \"PlotSaved\", \"data\": {}}",
      "{\"occurred_at\": \"x\", \"data\": {}}",
      "{\"event_type\": \"PlotSaved\", \"occurred_at\": \"x\"}",
      "{\"event_type\": \"PlotSaved\", \"occurred_at\": \"x\", \"data\": [1]}",
      "{\"event_type\": 1, \"occurred_at\": \"x\", \"data\": {}}",
      "{}"};
  for (size_t i = 0; i < sizeof payloads / sizeof *payloads; i++) {
    buffer_clear(&b->text);
    buffer_printf(&b->text, "{\"id\": \"a\", \"name\": \"plot.plotsaved\", \"payload\": %s}",
                  payloads[i]);
    assert_int_equal(read(b, buffer_z(&b->text)), REASON_NONE);
    assert_false(b->event.lifted);
    assert_int_equal(b->event.other_id.len, 0);
  }
}

CASE(nothing_is_lifted_where_lifting_is_off) {
  struct bench *b = *state;
  read_enveloped(b, "plot.plotsaved", "PlotSaved", "\"event_id\": \"in-1\", ", "{}");
  assert_span(b->event.id, "in-1");
  assert_int_equal(event_read(&b->doc, NULL, &b->arena, &b->event, &b->err), REASON_NONE);
  assert_false(b->event.lifted);
  assert_span(b->event.id, "flat-1");
  assert_span(b->event.other_id, "in-1");
}

/* ---- ids ---- */

CASE(the_id_is_the_envelopes_where_it_is_a_good_one) {
  struct bench *b = *state;
  static const struct {
    const char *id, *is, *other;
    enum reason reason;
  } rows[] = {
      {"\"in-1\"", "in-1", "flat-1", REASON_NONE},
      {"\"flat-1\"", "flat-1", "", REASON_NONE},
      {"null", "flat-1", "", REASON_NONE},
      {"\"\"", "flat-1", "", REASON_NONE},
      {"\"saved_140234567890123\"", "flat-1", "", REASON_NONE},
      {"\"saved_123456789012\"", "flat-1", "", REASON_NONE},
      {"\"_123456789012345\"", "flat-1", "", REASON_NONE},
      {"\"saved_12345678901\"", "saved_12345678901", "flat-1", REASON_NONE},
      {"\"saved_1234567890123456\"", "saved_1234567890123456", "flat-1", REASON_NONE},
      {"\"saved-140234567890123\"", "saved-140234567890123", "flat-1", REASON_NONE},
      {"\"140234567890123\"", "140234567890123", "flat-1", REASON_NONE},
      {"7", "", "", REASON_BAD_ID},
      {"\"a b\"", "", "", REASON_BAD_ID},
      {"[]", "", "", REASON_BAD_ID},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char member[80];
    snprintf(member, sizeof member, "\"event_id\": %s, ", rows[i].id);
    enum reason why = read_enveloped(b, "plot.plotsaved", "PlotSaved", member, "{}");
    if (why != rows[i].reason) fail_msg("%s: %s", rows[i].id, reason_word(why));
    assert_span(b->event.id, rows[i].is);
    assert_span(b->event.other_id, rows[i].other);
    if (why != REASON_NONE) assert_true(span_starts(span_of(b->err.text), "payload.event_id: "));
  }
}

CASE(a_good_id_in_the_envelope_stands_for_a_bad_one_outside) {
  struct bench *b = *state;
  static const char *const ids[] = {"", "\"id\": \"a b\", ", "\"id\": 7, "};
  for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
    buffer_clear(&b->text);
    buffer_printf(&b->text,
                  "{%s\"name\": \"plot.plotsaved\", \"payload\": {\"event_type\": \"PlotSaved\", "
                  "\"event_id\": \"in-1\", \"occurred_at\": 1, \"data\": {}}}",
                  ids[i]);
    assert_int_equal(read(b, buffer_z(&b->text)), REASON_NONE);
    assert_span(b->event.id, "in-1");
    assert_string_equal(b->err.text, "");
  }
}

CASE(it_goes_by_both_its_ids_lifted_or_not) {
  struct bench *b = *state;
  read_enveloped(b, "plot.plotsaved", "PlotSaved", "\"event_id\": \"in-1\", ", "{}");
  assert_true(event_goes_by(&b->event, SPAN("in-1")) && event_goes_by(&b->event, SPAN("flat-1")));
  assert_false(event_goes_by(&b->event, SPAN("x")) || event_goes_by(&b->event, SPAN("")));
  enum reason why = event_read(&b->doc, NULL, &b->arena, &b->event, NULL);
  assert_int_equal(why, REASON_NONE);
  assert_true(event_goes_by(&b->event, SPAN("in-1")) && event_goes_by(&b->event, SPAN("flat-1")));
}

/* ---- time, subject, key ---- */

CASE(time_and_subject_are_the_envelopes) {
  struct bench *b = *state;
  static const char *const subjects[][2] = {{"\"ep-1\"", "ep-1"}, {"\"\\u0061\"", "a"},
                                            {"12", "12"},         {"null", ""},
                                            {"\"\"", ""},         {"[1]", ""}};
  for (size_t i = 0; i < sizeof subjects / sizeof *subjects; i++) {
    char member[80];
    snprintf(member, sizeof member, "\"aggregate_id\": %s, ", subjects[i][0]);
    read_enveloped(b, "plot.plotsaved", "PlotSaved", member, "{}");
    assert_span(b->event.subject, subjects[i][1]);
    assert_int_equal(b->event.created_us, 1762154142250000);
  }
  read(b, "{\"id\": \"a\", \"name\": \"plot.plotsaved\", \"created_at\": \"2025-01-01T00:00:00Z\", "
          "\"payload\": {\"event_type\": \"PlotSaved\", \"occurred_at\": \"soon\", \"data\": {}}}");
  assert_true(b->event.lifted);
  assert_int_equal(b->event.created_us, 1735689600000000);
}

CASE(the_key_is_a_field_of_its_data_else_its_subject_else_its_id) {
  struct bench *b = *state;
  static const char *const rows[][3] = {
      {"{\"plot_id\": \"p\", \"command_id\": \"c\"}", "\"aggregate_id\": \"g\", ", "p"},
      {"{\"file_path\": \"f\", \"command_id\": \"c\"}", "", "c"},
      {"{\"file_path\": \"f\", \"plot_file_path\": \"pf\"}", "", "pf"},
      {"{\"master_plot_path\": \"m\", \"file_path\": \"f\"}", "", "f"},
      {"{\"master_plot_path\": \"m\"}", "", "m"},
      {"{\"x\": 1}", "\"aggregate_id\": \"g\", ", "g"},
      {"{\"x\": 1}", "\"aggregate_id\": 5, ", "5"},
      {"{\"x\": 1}", "\"event_id\": \"in-1\", ", "in-1"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct route route;
    assert_int_equal(read_enveloped(b, "plot.plotsaved", "PlotSaved", rows[i][1], rows[i][0]),
                     REASON_NONE);
    assert_int_equal(routing_route(b->routing, &b->doc, &b->event, &b->arena, &route, &b->err),
                     REASON_NONE);
    assert_span(route.key, rows[i][2]);
    assert_int_equal(route.keyless, i == 7);
  }
}

CASE(what_has_no_name_says_where_in_the_file) {
  struct bench *b = *state;
  struct route route;
  read_enveloped(b, "order.ordershipped", "OrderShipped", "", "{}");
  assert_int_equal(routing_route(b->routing, &b->doc, &b->event, &b->arena, &route, &b->err),
                   REASON_UNKNOWN_NAMESPACE);
  assert_true(span_starts(span_of(b->err.text), "payload.event_type: name \"order.shipped\""));
  read_enveloped(b, "plot.plot", "PlotEvent", "", "{}");
  assert_int_equal(routing_route(b->routing, &b->doc, &b->event, &b->arena, &route, &b->err),
                   REASON_BAD_NAME);
  assert_true(span_starts(span_of(b->err.text), "payload.event_type: name \"PlotEvent\""));
  read_enveloped(b, "generic.generic", "GenericEvent", "",
                 "{\"event_name\": \"Plot\", \"payload\": {}}");
  assert_int_equal(routing_route(b->routing, &b->doc, &b->event, &b->arena, &route, &b->err),
                   REASON_BAD_NAME);
  assert_true(span_starts(span_of(b->err.text), "payload.data.event_name: name \"Plot\""));
}

/* ---- a generic event ---- */

CASE(a_generic_event_is_what_is_inside_its_data) {
  struct bench *b = *state;
  assert_int_equal(read_enveloped(b, "quality.checked", "GenericEvent", "",
                                  "{\"event_name\": \"quality_checked\", \"payload\": {\"a\": 1}}"),
                   REASON_NONE);
  assert_true(b->event.lifted);
  assert_span(b->event.name, "quality.checked");
  assert_span(json_slice(&b->doc, b->event.payload), "{\"a\": 1}");
  assert_int_equal(read_enveloped(b, "quality.checked", "GenericEvent", "",
                                  "{\"event_name\": \"quality_checked\", \"payload\": [1]}"),
                   REASON_BAD_PAYLOAD);
  assert_true(span_starts(span_of(b->err.text), "payload.data.payload: "));
  assert_int_equal(read_enveloped(b, "generic.generic", "GenericEvent", "", "{\"payload\": {}}"),
                   REASON_MISSING_NAME);
  assert_true(span_starts(span_of(b->err.text), "payload.data.event_name: "));
}

/* ---- what it says, what is left ---- */

CASE(it_says_the_same_whatever_blanks_the_two_buses_write) {
  struct bench *b = *state;
  read_enveloped(b, "plot.plotsaved", "PlotSaved", "", "{\"a\": [1, {\"b\": null}]}");
  uint64_t one = event_content(&b->doc, &b->event);
  read_enveloped(b, "plot.saved", "PlotSaved", "", "{\n  \"a\" :[1,\n{\"b\":null}]}");
  assert_int_equal(event_content(&b->doc, &b->event), one);
  static const char *const others[] = {"{\"a\": [1, {\"b\": false}]}", "{\"a\": [1], \"b\": null}",
                                       "{\"a\": [1, {\"b\": \"null\"}]}",
                                       "{\"a\": [1, [\"b\", null]]}"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    read_enveloped(b, "plot.plotsaved", "PlotSaved", "", others[i]);
    assert_int_not_equal(event_content(&b->doc, &b->event), one);
  }
}

CASE(what_is_not_published_is_one_line_of_json) {
  struct bench *b = *state;
  read(
      b,
      "{\"id\": \"flat-1\", \"name\": \"plot.plotsaved\", \"status\": \"pending\", \"attempts\": 2,"
      " \"ten\\u0061nt\": \"t\", \"created_at\": \"2025-01-01T00:00:00Z\","
      " \"payload\": {\"event_type\": \"PlotSaved\", \"event_id\": \"in-1\", \"occurred_at\": "
      "\"2025-11-03T07:15:42Z\",\n \"aggregate_id\": \"g\", \"aggregate_type\": null, \"version\": 3,"
      " \"metadata\": {\n  \"user\" : \"a \\\" {b}\\\\\",\t\"n\": [1, 2]\n}, \"more\": 1.50,"
      " \"data\": {\"x\": 1}}}");
  buffer_clear(&b->text);
  event_rest(&b->doc, &b->event, &b->text);
  assert_string_equal(
      buffer_z(&b->text),
      "{\"entry\":{\"id\":\"flat-1\",\"name\":\"plot.plotsaved\",\"ten\\u0061nt\":\"t\"},"
      "\"envelope\":{\"event_type\":\"PlotSaved\",\"aggregate_type\":null,\"version\":3,"
      "\"metadata\":{\"user\":\"a \\\" {b}\\\\\",\"n\":[1,2]},\"more\":1.50}}");
}

CASE(what_could_not_be_published_is_left_too) {
  struct bench *b = *state;
  read(
      b,
      "{\"id\": \"a b\", \"name\": \"quality.checked\", \"payload\": {\"event_type\": \"GenericEvent\","
      " \"event_id\": \"in-1\", \"occurred_at\": \"soon\", \"aggregate_id\": [1],"
      " \"data\": {\"event_name\": \"quality_checked\", \"payload\": {}, \"more\": true}}}");
  buffer_clear(&b->text);
  event_rest(&b->doc, &b->event, &b->text);
  assert_string_equal(
      buffer_z(&b->text),
      "{\"entry\":{\"id\":\"a b\",\"name\":\"quality.checked\"},"
      "\"envelope\":{\"event_type\":\"GenericEvent\",\"occurred_at\":\"soon\","
      "\"aggregate_id\":[1]},\"data\":{\"event_name\":\"quality_checked\",\"more\":true}}");
}

/* routing_test.c - names to topic and key, settings that are refused. */

#include "tests/unit/routing_box.h"

/* ---- names ---- */

CASE(the_contracts_names_become_canonical) {
  struct bench *b = *state;
  static const char *const rows[][2] = {
      {"EpisodeCreated", "episode.created"},
      {"EpisodeCreatedEvent", "episode.created"},
      {"episode.episodecreated", "episode.created"},
      {"episode_created", "episode.created"},
      {"episode_written", "episode.written"},
      {"EpisodeContentUpdated", "episode.updated"},
      {"episode.episodecontentupdated", "episode.updated"},
      {"QualityCheckedEvent", "quality.checked"},
      {"quality.qualitychecked", "quality.checked"},
      {"quality_checked", "quality.checked"},
      {"PlotUpdatedEvent", "plot.updated"},
      {"plot.plotupdated", "plot.updated"},
      {"plot_updated", "plot.updated"},
      {"PlotGeneratedEvent", "plot.generated"},
      {"plot.plotgenerated", "plot.generated"},
      {"PlotGenerationStarted", "plot.generation_started"},
      {"PlotGenerationCompleted", "plot.generation_completed"},
      {"PlotGenerationFailed", "plot.generation_failed"},
      {"PlotQualityCheckCompleted", "plot.quality_check_completed"},
      {"quality.plotqualitycheckcompleted", "plot.quality_check_completed"},
      {"PlotSaved", "plot.saved"},
      {"MasterPlotUpdated", "plot.master_updated"},
      {"quality.checked_via_usecase", "quality.checked_via_usecase"},
      {"plot.never-heard.of_2", "plot.never-heard.of_2"},
  };
  open_with(b, defaults());
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, span_of(rows[i][0]), "{}"), REASON_NONE);
    assert_span(b->route.name, rows[i][1]);
    assert_span(routing_canonical(b->routing, span_of(rows[i][0])), rows[i][1]);
    size_t dot = strcspn(rows[i][1], ".");
    assert_int_equal(b->route.ns.len, dot);
    assert_memory_equal(b->route.ns.ptr, rows[i][1], dot);
    char topic[40];
    snprintf(topic, sizeof topic, "%.*s.events", (int)dot, rows[i][1]);
    assert_string_equal(routing_topic_name(b->routing, b->route.topic), topic);
    assert_span(b->route.key, "the-id");
  }
  assert_int_equal(routing_topics(b->routing), 4);
  assert_span(routing_canonical(b->routing, SPAN("\x01 what ever")), "\x01 what ever");
}

CASE(users_aliases_come_first) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  config.aliases =
      SPAN("PlotSaved=episode.kept  EpisodeGone=episode.gone,plot.validated=plot.proved");
  open_with(b, config);
  assert_int_equal(route(b, SPAN("PlotSaved"), "{}"), REASON_NONE);
  assert_span(b->route.name, "episode.kept");
  assert_span(b->route.ns, "episode");
  assert_int_equal(route(b, SPAN("EpisodeGone"), "{}"), REASON_NONE);
  assert_span(b->route.name, "episode.gone");
  assert_int_equal(route(b, SPAN("plot.validated"), "{}"), REASON_NONE);
  assert_span(b->route.name, "plot.proved");
  assert_int_equal(route(b, SPAN("PlotUpdated"), "{}"), REASON_NONE);
  assert_span(b->route.name, "plot.updated");
}

CASE(names_of_another_form_are_refused) {
  struct bench *b = *state;
  static const struct span names[] = {
      SPAN("plot"),        SPAN("plot."),      SPAN(".updated"),      SPAN("Plot.updated"),
      SPAN("plot.Upd"),    SPAN("plot upd.x"), SPAN("plot.x y"),      SPAN("plot.x/y"),
      SPAN("plot/a.b"),    SPAN("."),          SPAN("plot.\xc3\xa9"), SPAN("plot.a\0b"),
      SPAN("UnknownEvent")};
  open_with(b, defaults());
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    assert_int_equal(route(b, names[i], "{}"), REASON_BAD_NAME);
    assert_int_equal(b->err.status, ST_INVALID);
    assert_non_null(strstr(b->err.text, "routing.aliases"));
  }
  char longest[EVENT_NAME_MAX + 1];
  memset(longest, 'x', sizeof longest);
  memcpy(longest, "plot.", 5);
  assert_int_equal(route(b, (struct span){longest, EVENT_NAME_MAX}, "{}"), REASON_NONE);
  assert_int_equal(route(b, (struct span){longest, EVENT_NAME_MAX + 1}, "{}"), REASON_BAD_NAME);
  struct event event = {.id = SPAN("a"), .name = SPAN("plot"), .payload = 0};
  assert_int_equal(routing_route(b->routing, &b->doc, &event, &b->arena, &b->route, NULL),
                   REASON_BAD_NAME);
}

CASE(a_refused_name_cannot_harm_a_terminal) {
  struct bench *b = *state;
  open_with(b, defaults());
  assert_int_equal(route(b, SPAN("a\x1b[2J\n\x7f\xc2\x9b\xe6\x97\xa5\xc2\xa9"), "{}"),
                   REASON_BAD_NAME);
  assert_string_equal(
      b->err.text,
      "name \"a\\u001b[2J\\u000a\\u007f\\u009b\xe6\x97\xa5\xc2\xa9\" is not namespace.event in [a-z0-9_.-] of "
      "at most 200 bytes; fix it, or add it to routing.aliases");
  struct buffer name = {0};
  for (int i = 0; i < 100; i++) buffer_add_z(&name, i ? "\xe6\x97\xa5" : "x");
  assert_int_equal(route(b, buffer_span(&name), "{}"), REASON_BAD_NAME);
  const char *dots = strstr(b->err.text, "...\"");
  assert_non_null(dots);
  assert_int_equal(dots - b->err.text, strlen("name \"") + 58); /* 19 whole characters and the x */
  assert_int_equal(span_utf8_prefix(span_of(b->err.text)), strlen(b->err.text));
  buffer_release(&name);
}

CASE(unlisted_namespaces_are_refused_with_the_nearest) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  config.namespaces = SPAN("episode,plot quality");
  open_with(b, config);
  assert_int_equal(route(b, SPAN("epsiode.created"), "{}"), REASON_UNKNOWN_NAMESPACE);
  assert_string_equal(
      b->err.text,
      "name \"epsiode.created\": namespace \"epsiode\" is not in routing.namespaces (the nearest "
      "there is \"episode\"); add it there, or the name to routing.aliases");
  assert_int_equal(route(b, SPAN("qualitie.checked"), "{}"), REASON_UNKNOWN_NAMESPACE);
  assert_non_null(strstr(b->err.text, "nearest there is \"quality\""));
  assert_int_equal(route(b, SPAN("plots.x"), "{}"), REASON_UNKNOWN_NAMESPACE);
  assert_non_null(strstr(b->err.text, "nearest there is \"plot\""));
  /* a known name whose namespace is not listed */
  assert_int_equal(route(b, SPAN("usecase.executed"), "{}"), REASON_UNKNOWN_NAMESPACE);
  assert_span(b->route.name, "usecase.executed");
  struct event event = {.id = SPAN("a"), .name = SPAN("x.y"), .payload = 0};
  assert_int_equal(routing_route(b->routing, &b->doc, &event, &b->arena, &b->route, NULL),
                   REASON_UNKNOWN_NAMESPACE);
}

/* ---- keys ---- */

CASE(the_key_is_the_first_field_that_is_there) {
  struct bench *b = *state;
  static const struct {
    const char *name, *payload, *key;
  } rows[] = {
      {"episode.created", "{\"id\": \"i\", \"episode_id\": \"e\"}", "e"},
      {"episode.created", "{\"id\": \"i\"}", "i"},
      {"episode.created", "{\"id\": \"i\", \"episode_id\": \"\"}", "i"},
      {"episode.created", "{\"id\": \"i\", \"episode_id\": null}", "i"},
      {"episode.created", "{\"id\": [1], \"episode_id\": {\"id\": 1}}", "the-id"},
      {"episode.created", "{\"id\": true}", "the-id"},
      {"episode.created", "{\"id\": 12}", "12"},
      {"episode.created", "{\"id\": -1.50e3}", "-1.50e3"},
      {"episode.created", "{\"id\": 0}", "0"},
      {"episode.created", "{\"id\": 123456789012345678901234567890}",
       "123456789012345678901234567890"},
      {"plot.updated", "{\"id\": \"i\", \"plot_id\": \"\\u00e9\\n\"}", "\xc3\xa9\n"},
      {"plot.updated", "{\"pl\\u006ft_id\": \"p\"}", "p"},
      {"plot.updated", "{\"id\": \"i\"}", "the-id"},
      {"quality.checked", "{\"episode_id\": \"e\", \"content_id\": \"c\"}", "c"},
      {"quality.checked", "{\"episode_id\": \"e\"}", "e"},
      {"usecase.executed", "{\"id\": \"i\", \"episode_id\": \"e\"}", "the-id"},
      {"plot.updated", "[]", "the-id"},
  };
  open_with(b, defaults());
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, span_of(rows[i].name), rows[i].payload), REASON_NONE);
    assert_span(b->route.key, rows[i].key);
  }
}

CASE(users_keys_replace_a_namespaces_own) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  config.keys = SPAN(" episode=title,number\tusecase=usecase_name\nplot=none ");
  open_with(b, config);
  assert_int_equal(route(b, SPAN("episode.created"), "{\"episode_id\": \"e\", \"number\": 3}"),
                   REASON_NONE);
  assert_span(b->route.key, "3");
  assert_int_equal(route(b, SPAN("usecase.failed"), "{\"usecase_name\": \"u\"}"), REASON_NONE);
  assert_span(b->route.key, "u");
  assert_int_equal(route(b, SPAN("plot.updated"), "{\"plot_id\": \"p\"}"), REASON_NONE);
  assert_span(b->route.key, "the-id");
  assert_int_equal(route(b, SPAN("quality.checked"), "{\"content_id\": \"c\"}"), REASON_NONE);
  assert_span(b->route.key, "c");
}

CASE(a_key_may_be_a_member_of_a_member) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  config.keys = SPAN("plot=customer.id.no,customer.id");
  open_with(b, config);
  static const struct {
    const char *payload, *key;
    bool keyless;
  } rows[] = {
      {"{\"customer\": {\"id\": \"c\"}}", "c", false},
      {"{\"customer\": {\"id\": {\"no\": 7}}}", "7", false},
      {"{\"customer.id\": \"whole\", \"customer\": {\"id\": \"c\"}}", "whole", false},
      {"{\"customer\": {\"id.no\": 1}}", "the-id", true},
      {"{\"customer\": [{\"id\": 1}]}", "the-id", true},
      {"{\"customer\": \"id\", \"id\": 1}", "the-id", true},
      {"{\"customer\": null}", "the-id", true},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, SPAN("plot.updated"), rows[i].payload), REASON_NONE);
    assert_span(b->route.key, rows[i].key);
    assert_int_equal(b->route.keyless, rows[i].keyless);
  }
}

CASE(an_array_or_object_that_is_named_as_key_is_the_events_fault) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  static const struct schema_key own[] = {{SPAN("usecase.failed"), SPAN("error")}};
  config.keys = SPAN("plot=lines,plot_id");
  config.schema_keys = own;
  config.schema_key_count = 1;
  open_with(b, config);
  assert_int_equal(route(b, SPAN("plot.updated"), "{\"lines\": [1], \"plot_id\": \"p\"}"),
                   REASON_BAD_KEY);
  assert_string_equal(
      b->err.text,
      "payload.lines: it is the key by routing.keys, and an array makes none; a key is a "
      "string or a number");
  assert_int_equal(route(b, SPAN("usecase.failed"), "{\"error\": {}}"), REASON_BAD_KEY);
  assert_string_equal(
      b->err.text,
      "payload.error: it is the key by its schema, and an object makes none; a key is a "
      "string or a number");
  assert_int_equal(route(b, SPAN("plot.updated"), "{\"lines\": null, \"plot_id\": \"p\"}"),
                   REASON_NONE);
  assert_span(b->route.key, "p");
  assert_int_equal(route(b, SPAN("quality.checked"), "{\"content_id\": [1]}"),
                   REASON_NONE); /* built in: as ever */
  assert_true(b->route.keyless);
}

CASE(the_setting_comes_before_the_schema_and_that_before_what_is_built_in) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  static const struct schema_key own[] = {{SPAN("episode.created"), SPAN("title")},
                                          {SPAN("envelope"), SPAN("id")},
                                          {SPAN("plot.updated"), SPAN("title")},
                                          {SPAN("usecase.failed"), SPAN("error")},
                                          {SPAN("weather.changed"), SPAN("place")}};
  const char *payload =
      "{\"title\": \"t\", \"episode_id\": \"e\", \"plot_id\": \"p\", \"other\": \"o\"}";
  config.keys = SPAN("plot=other usecase=none");
  config.schema_keys = own;
  config.schema_key_count = sizeof own / sizeof *own;
  open_with(b, config);
  static const char *const rows[][2] = {{"episode.created", "t"},
                                        {"episode_created", "t"},
                                        {"episode.updated", "e"},
                                        {"plot.updated", "o"},
                                        {"usecase.failed", "the-id"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, span_of(rows[i][0]), payload), REASON_NONE);
    assert_span(b->route.key, rows[i][1]);
    assert_false(b->route.keyless);
  }
}

/* ---- topics and settings ---- */

CASE(namespaces_may_share_a_topic) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  config.topic = SPAN("all.Events_1");
  open_with(b, config);
  assert_int_equal(routing_topics(b->routing), 1);
  assert_string_equal(routing_topic_name(b->routing, 0), "all.Events_1");
  assert_int_equal(route(b, SPAN("plot.updated"), "{}"), REASON_NONE);
  assert_int_equal(b->route.topic, 0);
}

CASE(a_template_may_name_the_namespace_anywhere) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  config.topic = SPAN("p-{namespace}.{namespace}");
  config.namespaces = SPAN("plot plot 0-_ a b c d e f g h");
  open_with(b, config);
  assert_int_equal(routing_topics(b->routing), 10);
  assert_string_equal(routing_topic_name(b->routing, 0), "p-plot.plot");
  assert_string_equal(routing_topic_name(b->routing, 1), "p-0-_.0-_");
  assert_string_equal(routing_topic_name(b->routing, 9), "p-h.h");
}

CASE(wrong_settings_are_refused_by_name) {
  struct bench *b = *state;
  static const struct {
    const char *namespaces, *topic, *aliases, *keys, *message;
  } rows[] = {
      {"", "{namespace}.events", "", "",
       "routing.namespaces: empty; write the namespaces to publish, such as \"episode plot\""},
      {"plot Epi", "{namespace}.events", "", "",
       "routing.namespaces: \"Epi\" is not a namespace; write [a-z0-9_-]+"},
      {"plot a.b", "{namespace}.events", "", "",
       "routing.namespaces: \"a.b\" is not a namespace; write [a-z0-9_-]+"},
      {"plot", "", "", "", "routing.topic: \"\" is not a topic name;"},
      {"plot", "..", "", "", "routing.topic: \"..\" is not a topic name;"},
      {"plot", ".", "", "", "routing.topic: \".\" is not a topic name;"},
      {"plot", "{ns}.events", "", "", "routing.topic: \"{ns}.events\" is not a topic name;"},
      {"plot", "a b", "", "", "routing.topic: \"a b\" is not a topic name;"},
      {"plot", "t", "PlotSaved", "", "routing.aliases: \"PlotSaved\"; write SEEN=CANONICAL"},
      {"plot", "t", "=plot.x", "", "routing.aliases: \"=plot.x\"; write SEEN=CANONICAL"},
      {"plot", "t", "a=plot", "",
       "routing.aliases: \"a=plot\": what stands behind = is not a name;"},
      {"plot", "t", "a=", "", "routing.aliases: \"a=\": what stands behind = is not a name;"},
      {"plot", "t", "a=plot.x a=plot.y", "",
       "routing.aliases: \"a=plot.y\": that name has an alias already;"},
      {"plot", "t", "plot.a=plot.b plot.b=plot.a", "", "routing.aliases: plot."},
      {"plot", "t", "plot.a=plot.b plot.b=plot.c plot.c=plot.a", "", "routing.aliases: plot."},
      {"plot", "t", "plot.saved=plot.plotsaved", "", "routing.aliases: plot."},
      {"plot", "t", "", "plot", "routing.keys: \"plot\"; write NAMESPACE=FIELD,FIELD"},
      {"plot", "t", "", "=x", "routing.keys: \"=x\"; write NAMESPACE=FIELD,FIELD"},
      {"order", "t", "", "order=", "routing.keys: \"order=\": no field is named; write none where"},
      {"order payment", "t", "", "order=a;payment=b",
       "routing.keys: \"order=a;payment=b\": \"a;payment=b\" is not a field; write FIELD,FIELD "
       "(customer.id for id of customer); a blank stands between two namespaces"},
      {"order", "t", "", "order=a,,b", "routing.keys: \"order=a,,b\": \"\" is not a field;"},
      {"order", "t", "", "order=a,", "routing.keys: \"order=a,\": \"\" is not a field;"},
      {"order", "t", "", "order=customer..id",
       "routing.keys: \"order=customer..id\": \"customer..id\" is not a field;"},
      {"order", "t", "", "order=.id", "routing.keys: \"order=.id\": \".id\" is not a field;"},
      {"order", "t", "", "order=id.", "routing.keys: \"order=id.\": \"id.\" is not a field;"},
      {"order", "t", "", "order=a order=b",
       "routing.keys: \"order=b\": that namespace has a key already;"},
      {"order", "t", "", "order=none order=b",
       "routing.keys: \"order=b\": that namespace has a key already;"},
      {"plot", "t", "", "plott=x,y",
       "routing.keys: \"plott=x,y\": the namespace is not in routing.namespaces;"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct routing_config config = {.namespaces = span_of(rows[i].namespaces),
                                    .topic = span_of(rows[i].topic),
                                    .aliases = span_of(rows[i].aliases),
                                    .keys = span_of(rows[i].keys)};
    struct routing *r = (struct routing *)b;
    struct error err = {0};
    assert_int_equal(routing_open(&config, &r, &err), ST_INVALID);
    assert_null(r);
    if (strncmp(err.text, rows[i].message, strlen(rows[i].message)) != 0)
      fail_msg("\"%s\" does not begin with \"%s\"", err.text, rows[i].message);
    assert_int_equal(routing_open(&config, &r, NULL), ST_INVALID);
  }
}

CASE(what_is_built_in_can_be_printed_and_left_out) {
  struct bench *b = *state;
  struct buffer aliases = {0}, keys = {0};
  struct routing_config config = defaults();
  const char *payload = "{\"plot_id\": \"p\"}";
  config.no_defaults = true;
  open_with(b, config);
  assert_int_equal(route(b, SPAN("PlotSaved"), payload), REASON_BAD_NAME);
  assert_int_equal(route(b, SPAN("plot.saved"), payload), REASON_NONE);
  assert_span(b->route.key, "the-id");
  routing_close(b->routing);
  routing_builtin_aliases(&aliases);
  routing_builtin_keys(&keys);
  config.aliases = buffer_span(&aliases);
  config.keys = buffer_span(&keys);
  open_with(b, config);
  assert_int_equal(route(b, SPAN("PlotSaved"), payload), REASON_NONE);
  assert_span(b->route.name, "plot.saved");
  assert_span(b->route.key, "p");
  buffer_release(&aliases);
  buffer_release(&keys);
}

CASE(aliases_that_end_somewhere_are_no_circle) {
  struct bench *b = *state;
  struct routing_config config = defaults();
  config.aliases = SPAN("plot.a=plot.b plot.b=plot.c plot.x=plot.x plot.y=plot.x");
  open_with(b, config);
}

CASE(a_topic_of_250_bytes_is_refused) {
  struct bench *b = *state;
  char topic[250];
  memset(topic, 't', sizeof topic);
  struct routing_config config = defaults();
  config.topic = (struct span){topic, 250};
  assert_int_equal(routing_open(&config, &b->routing, &b->err), ST_INVALID);
  config.topic.len = 249;
  open_with(b, config);
}

TEST(closing_nothing_is_fine) {
  routing_close(NULL);
}

/* The client of the schema registry against one that answers by a script. */
#include "tests/unit/registry_box.h"

#include "bridge/registry/answers.h"
#include "tests/support/folder.h"

#define TEXT "{\"type\":\"record\",\"name\":\"R\",\"fields\":[]}"

static void open_as(struct registry_box *b, struct registry_config config) {
  if (!config.urls) config.urls = b->url;
  config.timeout_ms = config.timeout_ms ? config.timeout_ms : 20000;
  assert_int_equal(registry_open(&config, &b->r, &b->err), ST_OK);
}

static enum registry_said look_up(struct registry_box *b) {
  return registry_look_up(b->r, "a topic-order.placed", SPAN(TEXT), "AVRO", false, &b->schema,
                          &b->err);
}

static bool was_sent(struct registry_box *b, const char *words) {
  pthread_mutex_lock(&b->lock);
  bool found = strstr(b->last, words) != NULL;
  pthread_mutex_unlock(&b->lock);
  return found;
}

BOX_CASE(a_look_up_sends_the_text_and_takes_what_is_answered) {
  struct registry_box *b = *state;
  box_say(b, "POST /subjects/a%20topic-order.placed", 200,
          "{\"subject\":\"s\",\"id\":7,\"version\":3,\"schema\":\"\\\"string\\\"\"}");
  open_as(b, (struct registry_config){0});
  assert_int_equal(look_up(b), REGISTRY_GIVEN);
  assert_int_equal(b->schema.id, 7);
  assert_int_equal(b->schema.version, 3);
  assert_true(span_is(b->schema.text, "\"string\""));
  assert_int_equal(b->schema.type.len, 0); /* as a registry says Avro */
  assert_false(b->schema.references);
  assert_true(was_sent(b, "Content-Type: application/vnd.schemaregistry.v1+json\r\n"));
  assert_true(was_sent(b, "{\"schema\": \"{\\\"type\\\":\\\"record\\\""));
  assert_false(was_sent(b, "schemaType"));
}

BOX_CASE(normalize_and_a_json_schema_are_asked_for) {
  struct registry_box *b = *state;
  box_say(b, "POST /subjects/s?normalize=true", 200, "{\"id\":1,\"schemaType\":\"JSON\"}");
  open_as(b, (struct registry_config){0});
  assert_int_equal(registry_look_up(b->r, "s", SPAN("{}"), "JSON", true, &b->schema, &b->err),
                   REGISTRY_GIVEN);
  assert_true(span_is(b->schema.type, "JSON"));
  assert_int_equal(b->schema.text.len, 0);
  assert_true(was_sent(b, "\"schemaType\": \"JSON\""));
}

/* ---- what an answer means ---- */

static const struct {
  int code;
  const char *body;
  enum registry_said said;
} answers[] = {
    {200, "{\"id\":7}", REGISTRY_GIVEN},
    {404, "{\"error_code\":40401,\"message\":\"no subject\"}", REGISTRY_MISSING},
    {404, "{\"error_code\":40403,\"message\":\"no schema\"}", REGISTRY_MISSING},
    {422, "{\"error_code\":42201,\"message\":\"not valid\"}", REGISTRY_MISSING},
    {404, "{\"error_code\":404,\"message\":\"HTTP 404\"}", REGISTRY_NOWHERE},
    {404, "{\"error_code\":0}", REGISTRY_NOWHERE},
    {404, "{\"message\":\"no\"}", REGISTRY_NOWHERE},
    {404, "{\"error_code\":\"40401\"}", REGISTRY_NOWHERE},
    {404, "<html>nginx</html>", REGISTRY_NOWHERE},
    {404, "", REGISTRY_NOWHERE},
    {301, "{\"error_code\":40401}", REGISTRY_NOWHERE},
    {307, "", REGISTRY_NOWHERE},
    {400, "{\"error_code\":40401}", REGISTRY_NOWHERE},
    {401, "{\"error_code\":40101}", REGISTRY_NOWHERE},
    {403, "{\"error_code\":40301}", REGISTRY_NOWHERE},
    {405, "{}", REGISTRY_NOWHERE},
    {406, "{\"error_code\":406}", REGISTRY_NOWHERE},
    {408, "{}", REGISTRY_NOWHERE},
    {409, "{\"error_code\":409}", REGISTRY_NOWHERE},
    {415, "{}", REGISTRY_NOWHERE},
    {429, "{\"error_code\":42901}", REGISTRY_NOWHERE},
    {500, "{\"error_code\":50001}", REGISTRY_NOWHERE},
    {503, "<html>", REGISTRY_NOWHERE},
    {200, "<html>", REGISTRY_NOWHERE},
    {200, "[]", REGISTRY_NOWHERE},
    {200, "{}", REGISTRY_NOWHERE},
    {200, "{\"id\":\"7\"}", REGISTRY_NOWHERE},
    {200, "{\"id\":-1}", REGISTRY_NOWHERE},
    {200, "{\"id\":2147483648}", REGISTRY_NOWHERE},
    {200, "{\"id\":7} more", REGISTRY_NOWHERE},
    {200, "{\"id\":7,\"error_code\":40401}", REGISTRY_NOWHERE},
    {204, "", REGISTRY_NOWHERE},
};

BOX_CASE(each_answer_has_its_class) {
  struct registry_box *b = *state;
  open_as(b, (struct registry_config){0});
  for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
    box_say(b, "POST /subjects/a%20topic-order.placed", answers[i].code, answers[i].body);
    enum registry_said said = look_up(b);
    if (said != answers[i].said) fail_msg("%d %s", answers[i].code, answers[i].body);
    if (said != REGISTRY_NOWHERE) continue;
    assert_non_null(strstr(b->err.text, "no registry there: POST http://127.0.0.1:"));
    assert_non_null(strstr(b->err.text, "/subjects/a%20topic-order.placed: "));
  }
}

BOX_CASE(what_a_registry_says_of_a_missing_one_is_told) {
  struct registry_box *b = *state;
  box_say(b, "", 404, "{\"error_code\":40403,\"message\":\"Schema not found\"}");
  open_as(b, (struct registry_config){0});
  assert_int_equal(look_up(b), REGISTRY_MISSING);
  assert_string_equal(b->err.text, "Schema not found");
}

BOX_CASE(a_schema_may_be_refused_where_it_is_registered) {
  struct registry_box *b = *state;
  open_as(b, (struct registry_config){0});
  box_say(b, "POST /subjects/s/versions", 409, "{\"error_code\":409,\"message\":\"breaks\"}");
  assert_int_equal(registry_register(b->r, "s", SPAN(TEXT), "AVRO", false, &b->schema, &b->err),
                   REGISTRY_REFUSED);
  assert_string_equal(b->err.text, "breaks");
  box_say(b, "POST /subjects/s/versions", 422, "{\"error_code\":42201,\"message\":\"bad\"}");
  assert_int_equal(registry_register(b->r, "s", SPAN(TEXT), "AVRO", false, &b->schema, &b->err),
                   REGISTRY_REFUSED);
  box_say(b, "POST /subjects/s/versions", 200, "{\"id\":9}");
  assert_int_equal(registry_register(b->r, "s", SPAN(TEXT), "AVRO", false, &b->schema, &b->err),
                   REGISTRY_GIVEN);
  assert_int_equal(b->schema.id, 9);
}

BOX_CASE(more_than_8_mib_are_refused) {
  struct registry_box *b = *state;
  box_say(b, "", 200, "{\"id\":7}");
  open_as(b, (struct registry_config){0});
  b->answers[0].padding = REGISTRY_BODY_MOST;
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_non_null(strstr(b->err.text, "more than 8 MiB"));
  b->answers[0].padding = REGISTRY_BODY_MOST - strlen("{\"id\":7}");
  assert_int_equal(look_up(b), REGISTRY_GIVEN);
}

BOX_CASE(no_answer_in_time_is_nowhere) {
  struct registry_box *b = *state;
  int quiet = socket(AF_INET, SOCK_STREAM, 0); /* takes connections, and never answers */
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t len = sizeof a;
  char url[100];
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  assert_int_equal(bind(quiet, (struct sockaddr *)&a, sizeof a), 0);
  assert_int_equal(listen(quiet, 5), 0);
  assert_int_equal(getsockname(quiet, (struct sockaddr *)&a, &len), 0);
  snprintf(url, sizeof url, "http://127.0.0.1:%d", ntohs(a.sin_port));
  open_as(b, (struct registry_config){.urls = url, .timeout_ms = 50});
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_non_null(strstr(b->err.text, "timed out"));
  close(quiet);
}

BOX_CASE(retry_after_is_kept) {
  struct registry_box *b = *state;
  box_say(b, "", 429, "{}");
  open_as(b, (struct registry_config){0});
  snprintf(b->answers[0].headers, sizeof b->answers[0].headers, "Retry-After: 17\r\n");
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_int_equal(registry_retry_after_ms(b->r), 17000);
  b->answers[0].headers[0] = '\0';
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_int_equal(registry_retry_after_ms(b->r), -1);
}

BOX_CASE(a_redirect_is_not_followed) {
  struct registry_box *b = *state;
  box_say(b, "", 302, "{\"id\":7}");
  open_as(b, (struct registry_config){0});
  snprintf(b->answers[0].headers, sizeof b->answers[0].headers, "Location: %s/else\r\n", b->url);
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_int_equal(b->requests, 1);
}

/* ---- several URLs ---- */

BOX_CASE(the_next_url_is_asked_on_the_worlds_fault_alone) {
  struct registry_box *b = *state;
  void *second = NULL;
  box_setup(&second);
  struct registry_box *other = second;
  char urls[300];
  snprintf(urls, sizeof urls, "%s/, %s", b->url, other->url);
  box_say(b, "", 404, "{\"error_code\":40401}");
  box_say(other, "", 200, "{\"id\":7}");
  open_as(b, (struct registry_config){.urls = urls});
  assert_int_equal(look_up(b), REGISTRY_MISSING);
  assert_int_equal(other->requests, 0);
  box_say(b, "", 200, "{}"); /* no id: not an answer */
  assert_int_equal(look_up(b), REGISTRY_GIVEN);
  assert_int_equal(other->requests, 1);
  assert_int_equal(look_up(b), REGISTRY_GIVEN); /* it stays the first */
  assert_int_equal(b->requests, 2);
  registry_close(b->r);
  b->r = NULL;
  box_teardown(&second);
}

/* ---- who we are ---- */

BOX_CASE(basic_is_sent_at_once) {
  struct registry_box *b = *state;
  box_say(b, "", 200, "{\"id\":7}");
  open_as(b, (struct registry_config){.username = "me", .password = "s3cret"});
  assert_int_equal(look_up(b), REGISTRY_GIVEN);
  assert_true(was_sent(b, "Authorization: Basic bWU6czNjcmV0\r\n"));
}

BOX_CASE(a_user_in_the_url_is_never_shown) {
  struct registry_box *b = *state;
  char url[200];
  snprintf(url, sizeof url, "http://me:s3cret@127.0.0.1:%d", b->port);
  box_say(b, "", 401, "{}");
  open_as(b, (struct registry_config){.urls = url});
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_true(was_sent(b, "Authorization: Basic bWU6czNjcmV0\r\n"));
  assert_null(strstr(b->err.text, "s3cret"));
  assert_null(strstr(registry_shown(b->r), "s3cret"));
}

BOX_CASE(a_user_in_the_url_is_never_shown_whatever_the_query_has) {
  struct registry_box *b = *state;
  char url[200];
  snprintf(url, sizeof url, "http://me:s3cret@127.0.0.1:%d/r?of=a@b", b->port);
  box_say(b, "", 401, "{}");
  open_as(b, (struct registry_config){.oauth_url = url, .oauth_id = "i", .oauth_secret = "x"});
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_non_null(strstr(b->err.text, "127.0.0.1"));
  assert_null(strstr(b->err.text, "s3cret"));
}

/* What is asked for is put behind the URL. */
BOX_CASE(a_registry_has_no_query) {
  struct registry_box *b = *state;
  const struct registry_config config = {.urls = "http://a http://me:s3cret@b/r?of=a"};
  assert_int_equal(registry_config_check(&config, &b->err), ST_INVALID);
  assert_non_null(strstr(b->err.text, "registry.url"));
  assert_non_null(strstr(b->err.text, "query"));
  assert_null(strstr(b->err.text, "s3cret"));
}

static void write_token(const char *path, const char *token) {
  FILE *f = fopen(path, "w");
  assert_non_null(f);
  fputs(token, f);
  assert_int_equal(fclose(f), 0);
}

BOX_CASE(a_token_is_read_again_after_401) {
  struct registry_box *b = *state;
  char folder[300], path[400];
  folder_make(folder, sizeof folder, "token");
  snprintf(path, sizeof path, "%s/token", folder);
  write_token(path, "old\n");
  box_say(b, "", 200, "{\"id\":7}");
  open_as(b, (struct registry_config){.token_file = path});
  assert_int_equal(look_up(b), REGISTRY_GIVEN);
  assert_true(was_sent(b, "Authorization: Bearer old\r\n"));
  write_token(path, "new\n");
  b->answers[0].code = 401;
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_true(was_sent(b, "Authorization: Bearer new\r\n"));
  assert_int_equal(b->requests, 3); /* once more, not again and again */
  unlink(path);
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_null(strstr(b->err.text, "new"));
  folder_remove(folder);
}

BOX_CASE(client_credentials_bring_a_token) {
  struct registry_box *b = *state;
  char url[200];
  snprintf(url, sizeof url, "%s/token", b->url);
  box_say(b, "", 200, "{\"id\":7}");
  box_say(b, "POST /token", 200, "{\"access_token\":\"t1\",\"expires_in\":3600}");
  open_as(b, (struct registry_config){
                 .oauth_url = url, .oauth_id = "c i", .oauth_secret = "s", .oauth_scope = "r w"});
  assert_int_equal(look_up(b), REGISTRY_GIVEN);
  assert_true(was_sent(b, "Authorization: Bearer t1\r\n"));
  assert_int_equal(look_up(b), REGISTRY_GIVEN);
  assert_int_equal(b->requests, 3); /* one token for both */
  box_say(b, "POST /token", 403, "{}");
  box_say(b, "", 401, "{}");
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_non_null(strstr(b->err.text, "registry.oauth_url gives no token: POST http://127.0.0.1:"));
  assert_non_null(strstr(b->err.text, "/token: HTTP 403"));
  assert_true(was_sent(b, "grant_type=client_credentials&scope=r%20w"));
}

TEST(wrong_settings_are_named) {
  struct error err = {0};
  struct registry_config config = {.urls = "ftp://host"};
  assert_int_equal(registry_config_check(&config, &err), ST_INVALID);
  config.urls = "http://a http://b";
  assert_int_equal(registry_config_check(&config, &err), ST_OK);
  config.username = "u", config.token_file = "/t";
  assert_int_equal(registry_config_check(&config, &err), ST_INVALID);
  config = (struct registry_config){.urls = "http://a", .password = "p"};
  assert_int_equal(registry_config_check(&config, &err), ST_INVALID);
  config = (struct registry_config){.urls = "http://a", .oauth_url = "http://o"};
  assert_int_equal(registry_config_check(&config, &err), ST_INVALID);
}

/* ---- the rest ---- */

BOX_CASE(the_newest_50_versions_are_named) {
  struct registry_box *b = *state;
  int64_t versions[REGISTRY_VERSIONS];
  size_t count;
  struct buffer body = {0};
  for (int i = 1; i <= 120; i++) buffer_printf(&body, "%s%d", i == 1 ? "[" : ",", i);
  buffer_add_char(&body, ']');
  box_say(b, "GET /subjects/s/versions", 200, buffer_z(&body));
  open_as(b, (struct registry_config){0});
  assert_int_equal(registry_versions(b->r, "s", versions, &count, &b->err), REGISTRY_GIVEN);
  assert_int_equal(count, 50);
  assert_int_equal(versions[0], 120);
  assert_int_equal(versions[49], 71);
  buffer_release(&body);
}

BOX_CASE(an_id_and_a_version_give_their_texts) {
  struct registry_box *b = *state;
  box_say(b, "GET /schemas/ids/7", 200, "{\"schema\":\"\\\"int\\\"\",\"references\":[{}]}");
  box_say(b, "GET /subjects/s/versions/2", 200, "{\"id\":8,\"version\":2,\"schema\":\"x\"}");
  open_as(b, (struct registry_config){0});
  assert_int_equal(registry_by_id(b->r, 7, &b->schema, &b->err), REGISTRY_GIVEN);
  assert_true(span_is(b->schema.text, "\"int\""));
  assert_true(b->schema.references);
  assert_int_equal(registry_version(b->r, "s", 2, &b->schema, &b->err), REGISTRY_GIVEN);
  assert_int_equal(b->schema.id, 8);
}

BOX_CASE(compatibility_is_told_with_its_reasons) {
  struct registry_box *b = *state;
  bool compatible = true;
  box_say(b, "POST /compatibility/subjects/s/versions/latest?verbose=true", 200,
          "{\"is_compatible\":false,\"messages\":[\"a\",\"b\"]}");
  open_as(b, (struct registry_config){0});
  assert_int_equal(registry_compatible(b->r, "s", SPAN(TEXT), "AVRO", &compatible, &b->err),
                   REGISTRY_GIVEN);
  assert_false(compatible);
  assert_string_equal(b->err.text, "a; b");
}

BOX_CASE(compatibility_is_told_as_apicurio_2_has_it) {
  struct registry_box *b = *state;
  bool compatible = true;
  box_say(b, "POST /compatibility/subjects/s/versions/latest?verbose=true", 200,
          "{\"is_compatible\":false,\"reason\":\"b at /fields/1\"}");
  open_as(b, (struct registry_config){0});
  assert_int_equal(registry_compatible(b->r, "s", SPAN(TEXT), "AVRO", &compatible, &b->err),
                   REGISTRY_GIVEN);
  assert_false(compatible);
  assert_string_equal(b->err.text, "b at /fields/1");
}

BOX_CASE(a_registry_may_have_a_cluster_id) {
  struct registry_box *b = *state;
  char id[REGISTRY_CLUSTER];
  open_as(b, (struct registry_config){0});
  box_say(b, "GET /v1/metadata/id", 404, "{\"error_code\":404}");
  assert_false(registry_cluster(b->r, id));
  box_say(
      b, "GET /v1/metadata/id", 200,
      "{\"scope\":{\"path\":[],\"clusters\":{\"schema-registry-cluster\":\"c-1\"}},\"id\":\"\"}");
  assert_true(registry_cluster(b->r, id));
  assert_string_equal(id, "c-1");
}

BOX_CASE(requests_are_counted_by_what_was_asked_and_answered) {
  struct registry_box *b = *state;
  struct metrics *m = NULL;
  assert_int_equal(metrics_open(&clock_system, &m), ST_OK);
  box_say(b, "", 503, "");
  open_as(b, (struct registry_config){.metrics = m});
  assert_int_equal(look_up(b), REGISTRY_NOWHERE);
  assert_int_equal(metrics_sum(m, METRIC_REGISTRY, "look_up", "503", false), 1);
  metrics_close(m);
}

TEST(white_space_goes_and_texts_stay) {
  struct buffer out = {0};
  registry_minify(SPAN("{ \"a b\" :\n [1, \"x\\\" y\\\\\" ,2 ] }\n"), &out);
  assert_string_equal(buffer_z(&out), "{\"a b\":[1,\"x\\\" y\\\\\",2]}");
  buffer_clear(&out);
  registry_subject_write(SUBJECT_TOPIC_RECORD, "t", SPAN("shop.Placed"), &out);
  buffer_add_char(&out, ' ');
  registry_subject_write(SUBJECT_RECORD, "t", SPAN("shop.Placed"), &out);
  buffer_add_char(&out, ' ');
  registry_subject_write(SUBJECT_TOPIC, "t", SPAN("shop.Placed"), &out);
  assert_string_equal(buffer_z(&out), "t-shop.Placed shop.Placed t-value");
  buffer_release(&out);
}

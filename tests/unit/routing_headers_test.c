/* routing_headers_test.c - own headers: members of the payload that go along as headers. */
#include "tests/unit/routing_box.h"

static const char *headers(struct bench *b, struct buffer *out) {
  buffer_clear(out);
  for (size_t i = 0; i < b->route.header_count; i++)
    buffer_printf(out, "%s%s=%.*s", i ? "|" : "", b->route.headers[i].name,
                  SPAN_ARGS(b->route.headers[i].value));
  return out->len ? buffer_z(out) : "";
}

CASE(own_headers_are_members_of_the_payload) {
  struct bench *b = *state;
  struct buffer text = {0};
  open_with(b, with(ROUTES(R("routing.order.headers",
                             " tenant=metadata.tenant\tVIP=vip total=total a.b=a.b "),
                           R("routing.order.gone.headers", "why=why"),
                           R("routing.order.comma.headers", ",vip=vip, why=why,total=total ,"),
                           R("routing.order.silent.headers", "none"))));
  static const char *const rows[][3] = {
      {"order.placed",
       "{\"metadata\": {\"tenant\": \"t\\u00e9\\n\"}, \"vip\": true, \"total\": 1.50e2}",
       "tenant=t\xc3\xa9\n|VIP=true|total=1.50e2"},
      {"order.placed", "{\"metadata\": {\"tenant\": null}, \"vip\": false, \"a\": {\"b\": \"\"}}",
       "VIP=false|a.b="},
      {"order.placed", "{\"metadata\": 7}", ""},
      {"order.gone.far", "{\"why\": \"w\", \"vip\": true}", "why=w"},
      {"order.comma", "{\"why\": \"w\", \"vip\": true, \"total\": 1}", "vip=true|why=w|total=1"},
      {"order.silent", "{\"vip\": true}", ""},
      {"payment.made", "{\"vip\": true}", ""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(route(b, span_of(rows[i][0]), rows[i][1]), REASON_NONE);
    assert_string_equal(headers(b, &text), rows[i][2]);
  }
  buffer_release(&text);
}

CASE(an_array_or_object_is_no_header) {
  struct bench *b = *state;
  open_with(b, with(ROUTES(R("routing.order.headers", "lines=lines tenant=a.tenant"))));
  assert_int_equal(route(b, SPAN("order.placed"), "{\"lines\": []}"), REASON_BAD_HEADER);
  assert_string_equal(
      b->err.text,
      "payload.lines: it is the header lines by routing.order.headers, and an array makes none; a "
      "header is a string, a number or a boolean");
  assert_int_equal(route(b, SPAN("order.placed"), "{\"a\": {\"tenant\": {}}}"), REASON_BAD_HEADER);
  assert_non_null(strstr(b->err.text, "payload.a.tenant: it is the header tenant by"));
}

CASE(own_headers_take_32_kib_together) {
  struct bench *b = *state;
  struct buffer payload = {0};
  open_with(b, with(ROUTES(R("routing.order.headers", "a=a b=b"))));
  for (int over = 0; over <= 1; over++) {
    buffer_clear(&payload);
    buffer_add_z(&payload, "{\"a\": \"");
    for (int i = 0; i < OWN_HEADERS_BYTES - 3 + over; i++) buffer_add_char(&payload, 'x');
    buffer_add_z(&payload, "\", \"b\": 7}");
    assert_int_equal(route(b, SPAN("order.placed"), buffer_z(&payload)),
                     over ? REASON_HEADER_TOO_LARGE : REASON_NONE);
  }
  assert_string_equal(
      b->err.text, "the headers of routing.order.headers take 32769 bytes, and 32768 are the most");
  buffer_release(&payload);
}

CASE(wrong_headers_are_refused) {
  struct bench *b = *state;
  static const char *const rows[][2] = {
      {"", "no header is named; write NAME=FIELD words"},
      {" , ", "no header is named; write NAME=FIELD words"},
      {"tenant", "\"tenant\": write NAME=FIELD"},
      {"=tenant", "\"=tenant\": write NAME=FIELD"},
      {"tenant=", "\"tenant=\": what stands behind = is not a field"},
      {"tenant=a..b", "\"tenant=a..b\": what stands behind = is not a field"},
      {"t\xc3\xa9=a", "\"t\xc3\xa9=a\": the name of a header is of visible ASCII"},
      {"a=x a=y", "\"a=y\": that header is there already"},
      {"ce_id=x", "\"ce_id=x\": that header is not to be had"},
      {"CE_Type=x", "\"CE_Type=x\": that header is not to be had"},
      {"Content-Type=x", "\"Content-Type=x\": that header is not to be had"},
      {"traceparent=x", "\"traceparent=x\": that header is not to be had"},
      {"tracestate=x", "\"tracestate=x\": that header is not to be had"},
      {"busbridge-envelope=x", "\"busbridge-envelope=x\": that header is not to be had"},
      {"__value_schema_id=x", "\"__value_schema_id=x\": that header is not to be had"},
      {"__key_schema_id=x", "\"__key_schema_id=x\": that header is not to be had"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    struct route_setting one = {SPAN("routing.order.headers"), span_of(rows[i][0])};
    char message[300];
    snprintf(message, sizeof message, "routing.order.headers: %s", rows[i][1]);
    refused(b, with(&one, 1), message);
  }
  struct buffer many = {0};
  for (int i = 0; i <= OWN_HEADERS_MAX; i++) buffer_printf(&many, "h%d=a ", i);
  struct route_setting one = {SPAN("routing.order.headers"), span_of(buffer_z(&many))};
  refused(b, with(&one, 1), "routing.order.headers: more than 64 headers");
  buffer_release(&many);
}

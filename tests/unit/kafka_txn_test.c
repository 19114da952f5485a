/* Transactions against librdkafka's mock cluster: what each error of a call makes the caller do
 * next, and what can still be under way afterwards. The mock commits nothing: that positions and
 * records hold together is shown against a real broker in tests/integration.
 */
#include "tests/unit/kafka_mock.h"

#include "bridge/kafka/cluster/cluster.h"

enum {
  API_OFFSET_FETCH = 9,
  API_INIT_PRODUCER_ID = 22,
  API_ADD_PARTITIONS = 24,
  API_ADD_OFFSETS = 25,
  API_END_TXN = 26,
  API_TXN_OFFSET_COMMIT = 28
};

#define E(name) RD_KAFKA_RESP_ERR_##name

struct world {
  struct mock mock;
  struct publisher *publisher;
  struct reports reports;
  unsigned number; /* of topic t */
};

static const struct position place = {
    .topic = "ledger", .group = "busbridge-1", .number = 7, .digest = "d"};

static int setup(void **state) {
  struct world *w = test_calloc(1, sizeof *w);
  mock_open(&w->mock);
  mock_topic(&w->mock, "t", 1);
  mock_topic(&w->mock, "ledger", 1);
  w->mock.config.at_least_once = false;
  w->mock.config.transactional_id = "busbridge-1";
  *state = w;
  return 0;
}

static int teardown(void **state) {
  struct world *w = *state;
  publisher_close(w->publisher);
  mock_close(&w->mock);
  test_free(w);
  return 0;
}

static void open_only(struct world *w) {
  struct error err = {0};
  if (publisher_open(&w->mock.config, w->mock.log, reports_add, &w->reports, &w->publisher, &err) !=
      ST_OK)
    fail_msg("%s", err.text);
  assert_int_equal(publisher_topic(w->publisher, "t", &w->number, &err), ST_OK);
}

#define NEXT(call, wanted)                                                                         \
  do {                                                                                             \
    struct error why = {0};                                                                        \
    enum txn_next next = (call);                                                                   \
    if (next != (wanted)) fail_msg("%s: %d instead of %d: %s", #call, next, (wanted), why.text);   \
    assert_int_equal(why.text[0] != 0, next != TXN_DONE);                                          \
  } while (0)

/* Begun, one record acknowledged. */
static void begin(struct world *w) {
  NEXT(publisher_begin(w->publisher, &why), TXN_DONE);
  const struct record record = record_of(w->number, "k", "v", 0);
  assert_int_equal(publisher_send(w->publisher, &record, NULL), KAFKA_OK);
  POLL_UNTIL(w->publisher, publisher_in_flight(w->publisher) == 0);
}

static void start(struct world *w) {
  open_only(w);
  NEXT(publisher_init(w->publisher, PATIENCE_MS, &why), TXN_DONE);
  begin(w);
}

static void break_request(struct world *w, int api, rd_kafka_resp_err_t code) {
  rd_kafka_mock_push_request_errors(w->mock.cluster, (int16_t)api, 1, code);
}

/* ---- in order ---- */

#define CASE(name) TEST_WITH(name, setup, teardown)

CASE(an_ordinary_transaction_ends_clean_again_and_again) {
  struct world *w = *state;
  open_only(w);
  assert_true(publisher_clean(w->publisher));
  NEXT(publisher_init(w->publisher, PATIENCE_MS, &why), TXN_DONE);
  assert_true(publisher_clean(w->publisher));
  for (int i = 0; i < 3; i++) {
    begin(w);
    assert_false(publisher_clean(w->publisher));
    NEXT(publisher_position(w->publisher, &place, &why), TXN_DONE);
    NEXT(publisher_commit(w->publisher, &why), TXN_DONE);
    assert_true(publisher_clean(w->publisher));
    begin(w);
    NEXT(publisher_abort(w->publisher, &why), TXN_DONE);
    assert_true(publisher_clean(w->publisher));
  }
}

CASE(begin_within_a_transaction_is_refused) {
  struct world *w = *state;
  start(w);
  NEXT(publisher_begin(w->publisher, &why), TXN_RENEW);
}

CASE(calls_out_of_order_want_a_new_producer) {
  struct world *w = *state;
  open_only(w);
  NEXT(publisher_begin(w->publisher, &why), TXN_RENEW);
  NEXT(publisher_abort(w->publisher, &why), TXN_RENEW);
  NEXT(publisher_commit(w->publisher, &why), TXN_RENEW);
}

/* ---- init ---- */

CASE(init_is_asked_again_while_nobody_answers) {
  struct world *w = *state;
  w->mock.pairs[0].value = NOBODY;
  open_only(w);
  struct error err = {0};
  for (int i = 0; i < 3; i++) assert_int_equal(publisher_init(w->publisher, 200, &err), TXN_AGAIN);
  assert_int_equal(err.status, ST_UNAVAILABLE);
}

CASE(init_goes_on_where_it_timed_out) {
  struct world *w = *state;
  rd_kafka_mock_broker_set_rtt(w->mock.cluster, 1, 300);
  open_only(w);
  enum txn_next next = TXN_AGAIN;
  struct error err = {0};
  for (int i = 0; i < 600 && next == TXN_AGAIN; i++) next = publisher_init(w->publisher, 100, &err);
  assert_int_equal(next, TXN_DONE);
}

CASE(init_without_the_right_wants_a_new_producer_and_says_denied) {
  struct world *w = *state;
  break_request(w, API_INIT_PRODUCER_ID, E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED));
  open_only(w);
  struct error err = {0};
  assert_int_equal(publisher_init(w->publisher, PATIENCE_MS, &err), TXN_RENEW);
  assert_int_equal(err.status, ST_DENIED);
}

/* ---- before the commit ---- */

CASE(an_abortable_error_of_the_position_wants_an_abort) {
  struct world *w = *state;
  start(w);
  break_request(w, API_ADD_OFFSETS, E(GROUP_AUTHORIZATION_FAILED));
  struct error err = {0};
  assert_int_equal(publisher_position(w->publisher, &place, &err), TXN_ABORT);
  assert_int_equal(err.status, ST_DENIED);
  assert_non_null(strstr(err.text, "position 7 of ledger"));
  NEXT(publisher_abort(w->publisher, &why), TXN_DONE);
  begin(w);
  NEXT(publisher_position(w->publisher, &place, &why), TXN_DONE);
  NEXT(publisher_commit(w->publisher, &why), TXN_DONE);
  assert_true(publisher_clean(w->publisher));
}

CASE(a_topic_denied_to_the_transaction_purges_its_records_and_wants_an_abort) {
  struct world *w = *state;
  open_only(w);
  NEXT(publisher_init(w->publisher, PATIENCE_MS, &why), TXN_DONE);
  break_request(w, API_ADD_PARTITIONS, E(TOPIC_AUTHORIZATION_FAILED));
  begin(w);
  assert_int_equal(w->reports.delivery[0].fault, KAFKA_PURGED);
  NEXT(publisher_position(w->publisher, &place, &why), TXN_ABORT);
  NEXT(publisher_abort(w->publisher, &why), TXN_DONE);
  assert_true(publisher_clean(w->publisher));
}

CASE(a_fatal_error_before_the_commit_wants_a_new_producer) {
  struct world *w = *state;
  start(w);
  break_request(w, API_ADD_OFFSETS, E(INVALID_TXN_STATE));
  NEXT(publisher_position(w->publisher, &place, &why), TXN_RENEW);
  NEXT(publisher_abort(w->publisher, &why), TXN_RENEW);
  assert_true(publisher_fatal(w->publisher, NULL));
}

CASE(an_old_epoch_is_told_as_fenced_whatever_is_called) {
  struct world *w = *state;
  start(w);
  break_request(w, API_ADD_OFFSETS, E(INVALID_PRODUCER_EPOCH));
  NEXT(publisher_position(w->publisher, &place, &why), TXN_FENCED);
  const struct record record = record_of(w->number, "k", "v", 0);
  struct delivery told = {0};
  assert_int_equal(publisher_send(w->publisher, &record, &told), KAFKA_FENCED);
  assert_int_equal(told.fault, KAFKA_FENCED);
  NEXT(publisher_abort(w->publisher, &why), TXN_FENCED);
  NEXT(publisher_commit(w->publisher, &why), TXN_FENCED);
}

CASE(a_record_refused_by_the_broker_leaves_a_gap) {
  struct world *w = *state;
  open_only(w);
  NEXT(publisher_init(w->publisher, PATIENCE_MS, &why), TXN_DONE);
  break_request(w, API_PRODUCE, E(INVALID_RECORD));
  begin(w);
  assert_int_equal(w->reports.delivery[0].fault, KAFKA_RECORD_REFUSED);
  NEXT(publisher_position(w->publisher, &place, &why), TXN_ABORT);
  NEXT(publisher_abort(w->publisher, &why), TXN_DONE);
  assert_false(publisher_clean(w->publisher));
  NEXT(publisher_begin(w->publisher, &why), TXN_RENEW);
}

/* ---- commit and abort ---- */

CASE(a_failed_commit_never_wants_an_abort) {
  struct world *w = *state;
  const struct {
    rd_kafka_resp_err_t code;
    enum txn_next next;
  } cases[] = {{E(UNKNOWN), TXN_RENEW}, /* "abortable" to librdkafka */
               {E(INVALID_PRODUCER_ID_MAPPING), TXN_RENEW},
               {E(INVALID_TXN_STATE), TXN_RENEW},
               {E(TRANSACTIONAL_ID_AUTHORIZATION_FAILED), TXN_RENEW},
               {E(INVALID_PRODUCER_EPOCH), TXN_FENCED},
               {E(PRODUCER_FENCED), TXN_FENCED}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    start(w);
    break_request(w, API_END_TXN, cases[i].code);
    NEXT(publisher_commit(w->publisher, &why), cases[i].next);
    assert_false(publisher_clean(w->publisher));
    NEXT(publisher_abort(w->publisher, &why), TXN_RENEW);
    publisher_close(w->publisher);
    w->publisher = NULL;
  }
}

CASE(a_failed_abort_wants_a_new_producer) {
  struct world *w = *state;
  start(w);
  break_request(w, API_END_TXN, E(UNKNOWN));
  NEXT(publisher_abort(w->publisher, &why), TXN_RENEW);
  assert_false(publisher_clean(w->publisher));
}

CASE(an_end_whose_first_answer_was_lost_is_not_clean) {
  struct world *w = *state;
  for (int commit = 1; commit >= 0; commit--) {
    start(w);
    break_request(w, API_END_TXN,
                  E(_TRANSPORT)); /* the mock hangs up; librdkafka sends it again, unseen */
    NEXT(commit ? publisher_commit(w->publisher, &why) : publisher_abort(w->publisher, &why),
         TXN_DONE);
    assert_false(publisher_clean(w->publisher));
    NEXT(publisher_begin(w->publisher, &why), TXN_RENEW);
    publisher_close(w->publisher);
    w->publisher = NULL;
  }
}

CASE(an_end_that_was_answered_twice_is_not_clean) {
  struct world *w = *state;
  start(w);
  break_request(w, API_END_TXN, E(CONCURRENT_TRANSACTIONS));
  NEXT(publisher_commit(w->publisher, &why), TXN_DONE);
  assert_false(publisher_clean(w->publisher));
}

CASE(a_position_whose_first_answer_was_lost_is_not_clean) {
  struct world *w = *state;
  start(w);
  break_request(w, API_TXN_OFFSET_COMMIT, E(_TRANSPORT));
  NEXT(publisher_position(w->publisher, &place, &why), TXN_DONE);
  NEXT(publisher_commit(w->publisher, &why), TXN_DONE);
  assert_false(publisher_clean(w->publisher));
}

CASE(a_position_that_was_answered_each_time_is_clean) {
  struct world *w = *state;
  start(w);
  break_request(w, API_TXN_OFFSET_COMMIT, E(COORDINATOR_LOAD_IN_PROGRESS));
  NEXT(publisher_position(w->publisher, &place, &why), TXN_DONE);
  NEXT(publisher_commit(w->publisher, &why), TXN_DONE);
  assert_true(publisher_clean(w->publisher));
}

/* ---- reading the position ---- */

static enum status position(struct world *w, int timeout_ms, struct position *found,
                            struct error *err) {
  *found = place;
  return cluster_position(&w->mock.config, w->mock.log, timeout_ms, found, err);
}

CASE(no_position_is_minus_one) {
  struct world *w = *state;
  struct position found;
  struct error err = {0};
  assert_int_equal(position(w, PATIENCE_MS, &found, &err), ST_OK);
  assert_int_equal(found.number, -1);
  assert_string_equal(found.digest, "");
}

CASE(passing_errors_are_waited_for) {
  struct world *w = *state;
  rd_kafka_mock_push_request_errors(
      w->mock.cluster, API_OFFSET_FETCH, 5, E(COORDINATOR_LOAD_IN_PROGRESS), E(NOT_COORDINATOR),
      E(UNSTABLE_OFFSET_COMMIT), E(_TRANSPORT), E(COORDINATOR_NOT_AVAILABLE));
  struct position found;
  struct error err = {0};
  if (position(w, PATIENCE_MS, &found, &err) != ST_OK) fail_msg("%s", err.text);
  assert_int_equal(found.number, -1);
}

static bool after_three_looks(void *ctx) {
  return ++*(unsigned *)ctx > 3;
}

CASE(a_stop_ends_the_wait_for_a_position) {
  struct world *w = *state;
  rd_kafka_resp_err_t codes[1000];
  for (unsigned i = 0; i < 1000; i++) codes[i] = E(COORDINATOR_LOAD_IN_PROGRESS);
  rd_kafka_mock_push_request_errors_array(w->mock.cluster, API_OFFSET_FETCH, 1000, codes);
  unsigned looks = 0;
  struct stop stop = {after_three_looks, &looks};
  w->mock.config.stop = &stop;
  struct position found;
  struct error err = {0};
  assert_int_equal(position(w, PATIENCE_MS, &found, &err), ST_CANCELLED);
  assert_true(looks > 3);
}

CASE(an_error_that_stays_is_told_at_once) {
  struct world *w = *state;
  break_request(w, API_OFFSET_FETCH, E(GROUP_AUTHORIZATION_FAILED));
  struct position found;
  struct error err = {0};
  assert_int_equal(position(w, PATIENCE_MS, &found, &err), ST_DENIED);
  assert_non_null(strstr(err.text, "busbridge-1"));
}

CASE(a_topic_that_is_unknown_has_no_position) {
  struct world *w = *state;
  break_request(w, API_OFFSET_FETCH, E(UNKNOWN_TOPIC_OR_PART));
  struct position found;
  struct error err = {0};
  if (position(w, PATIENCE_MS, &found, &err) != ST_OK) fail_msg("%s", err.text);
  assert_int_equal(found.number, -1);
}

CASE(nobody_there_is_unavailable) {
  struct world *w = *state;
  w->mock.pairs[0].value = NOBODY;
  struct position found;
  struct error err = {0};
  assert_int_equal(position(w, 300, &found, &err), ST_UNAVAILABLE);
}

CASE(a_bad_configuration_is_invalid) {
  struct world *w = *state;
  mock_set(&w->mock, "no.such.key", "1");
  struct position found;
  struct error err = {0};
  assert_int_equal(position(w, PATIENCE_MS, &found, &err), ST_INVALID);
}

/* ---- settings ---- */

TEST(what_transactions_cannot_bear_is_refused_and_passed_over_where_they_only_settle) {
  const struct kafka_pair pairs[] = {{"enable.idempotence", "false"},
                                     {"message.timeout.ms", "70000"}};
  for (size_t i = 0; i < 2; i++) {
    struct kafka_config config = {.pairs = &pairs[i], .count = 1};
    struct error err = {0};
    assert_int_equal(kafka_config_check(&config, NULL, &err), ST_INVALID);
    assert_non_null(strstr(err.text, pairs[i].key));
    config.at_least_once = true;
    assert_int_equal(kafka_config_check(&config, NULL, &err), ST_OK);
    config.transactional_id = "once"; /* to settle what exactly_once left: nothing is sent */
    assert_int_equal(kafka_config_check(&config, NULL, &err), ST_OK);
  }
  const struct kafka_config bare = {.at_least_once = true, .transactional_id = "once"};
  assert_int_equal(kafka_config_check(&bare, NULL, NULL), ST_OK);
}

/* Do the figures add up? A running worker is asked for them: those in the file are old.
 * One thread; it only reads, so a crash leaves nothing. */
#include "bridge/service/health/account.h"
#include "bridge/http/http.h"
#include "bridge/json/json.h"
#include "bridge/service/verify/parts.h"

#define ANSWER_MS 5000

static int64_t number(const struct json_doc *doc, uint32_t object, const char *key) {
  uint32_t node = json_member(doc, object, key);
  int64_t n = 0;
  return node != JSON_NONE && doc->nodes[node].type == JSON_NUMBER && json_int(doc, node, &n) ? n
                                                                                              : 0;
}

static bool read_answer(struct span text, struct account *out) {
  struct json_doc doc = {0};
  *out = (struct account){.since_us = TIME_NONE};
  bool ok = json_scan(&doc, text, NULL) == ST_OK && doc.nodes[0].type == JSON_OBJECT;
  uint32_t a = ok ? json_member(&doc, 0, "account") : JSON_NONE;
  out->known = a != JSON_NONE && doc.nodes[a].type == JSON_OBJECT;
  if (out->known) {
    uint32_t since = json_member(&doc, a, "since");
    if (since != JSON_NONE) time_parse(json_raw(&doc, since), &out->since_us);
    out->pending_then = (uint64_t)number(&doc, a, "pending_then");
    out->found = (uint64_t)number(&doc, a, "found");
    out->replayed = (uint64_t)number(&doc, a, "replayed");
    out->published = (uint64_t)number(&doc, a, "published");
    out->duplicate = (uint64_t)number(&doc, a, "duplicate");
    out->dead = (uint64_t)number(&doc, a, "dead");
    out->vanished = (uint64_t)number(&doc, a, "vanished");
    out->pending = (uint64_t)number(&doc, a, "pending");
    out->missing = number(&doc, a, "missing");
  }
  json_doc_release(&doc);
  return ok;
}

static bool ask_worker(struct verify *v, struct account *out) {
  struct buffer answer = {0};
  struct http *http = NULL;
  int code = 0;
  bool ok = http_open(home_socket(v->s->home), "http://localhost", &http, NULL) == ST_OK &&
            http_request(http, "GET", "/v1/metrics", (struct span){0}, ANSWER_MS, &code, &answer,
                         NULL) == ST_OK &&
            code == 200 && read_answer(buffer_span(&answer), out);
  http_close(http);
  buffer_release(&answer);
  return ok;
}

static bool ask_figures(struct verify *v, struct account *out) {
  if (v->holder) return ask_worker(v, out);
  account_read(v->s, out);
  return true;
}

static void say_account(struct verify *v, const struct account *a) {
  char since[TIME_TEXT], terms[400];
  snprintf(
      terms, sizeof terms,
      "since %.19s UTC: %llu pending then + %llu found + %llu replayed = %llu published + %llu "
      "duplicate + %llu dead + %llu vanished + %llu pending",
      time_format(a->since_us, since), (unsigned long long)a->pending_then,
      (unsigned long long)a->found, (unsigned long long)a->replayed,
      (unsigned long long)a->published, (unsigned long long)a->duplicate,
      (unsigned long long)a->dead, (unsigned long long)a->vanished, (unsigned long long)a->pending);
  if (a->missing == 0) {
    verify_found(v, "account", REPORT_OK, "%s", terms);
    return;
  }
  verify_found(v, "account", REPORT_FAILED, "%lld %s than there should be; %s",
               (long long)(a->missing < 0 ? -a->missing : a->missing),
               a->missing < 0 ? "more were accounted for" : "fewer were accounted for", terms);
  verify_next(
      v,
      "Compare with the other checks: they tell whether events are missing or only figures (a file "
      ".busbridge/metrics put back or edited). Removing that file begins the account anew, with "
      "all totals");
}

void verify_account(struct verify *v) {
  struct account a = {0};
  bool answered = ask_figures(v, &a);
  if (answered && a.known && a.missing) {
    verify_pause(v);
    answered = ask_figures(v, &a);
  }
  if (!answered)
    verify_found(v, "account", REPORT_SKIPPED,
                 "not asked: whoever holds the outbox does not answer");
  else if (!a.known)
    verify_found(
        v, "account", REPORT_SKIPPED,
        "there is none: the last worker was cut short, or has not seen the whole outbox yet");
  else
    say_account(v, &a);
}

/* parts.h - what a client is made of. Private to bridge/registry. */
#ifndef BRIDGE_REGISTRY_PARTS_H
#define BRIDGE_REGISTRY_PARTS_H

#include "bridge/http/http.h"
#include "bridge/registry/answers.h"

enum { URLS_MOST = 16 };

struct url {
  const char *shown; /* without user and query */
  struct http *http;
};

struct registry {
  struct registry_config config; /* its texts are copies in memory */
  struct arena memory;
  struct url urls[URLS_MOST];
  size_t url_count, first; /* first: the one that answered last */
  const char *shown;
  struct http *oauth; /* of config.oauth_url; NULL: none */
  const char *oauth_shown;
  struct buffer token;
  bool token_known;
  int64_t token_until_ms; /* monotonic; 0: until somebody says 401 */
  int64_t retry_after_ms;
  struct buffer body, request, path;
  struct json_doc doc;
  struct arena answer; /* texts of the last answer */
};

struct request {
  enum registry_op op;
  const char *method; /* of r->path, with r->request as its body */
  unsigned wants;     /* what an answer that is one has */
};

/* auth.c */
void auth_open(struct registry *r);
MUST_CHECK enum status auth_config_check(const struct registry_config *config, struct error *err);
/* Puts who we are into call. ST_UNAVAILABLE: no token is to be had. */
MUST_CHECK enum status auth_put(struct registry *r, struct http_call *call, struct error *err);
/* After a 401: is there another token to try? */
bool auth_again(struct registry *r);

/* request_counts.c; code 0: there was no answer */
void registry_count(struct registry *r, enum registry_op op, int code);

#endif

/* The table of answers: which is one, which says that it is not registered yet, and which is no
 * registry's. Pure, any thread; a crash leaves nothing. */
#include "bridge/registry/answers.h"

const char *registry_op_word(enum registry_op op) {
  static const char *const words[] = {
      [OP_LOOK_UP] = "look_up",   [OP_REGISTER] = "register", [OP_COMPATIBLE] = "compatible",
      [OP_VERSIONS] = "versions", [OP_VERSION] = "version",   [OP_ID] = "id",
      [OP_CLUSTER] = "cluster",   [OP_TOKEN] = "token"};
  return words[op];
}

static bool is_404xx(int64_t error_code) {
  return error_code >= 40400 && error_code <= 40499;
}

enum registry_said registry_judge(enum registry_op op, int code, bool json, int64_t error_code) {
  if (!json) return REGISTRY_NOWHERE;
  if (code == 200 && error_code < 0) return REGISTRY_GIVEN;
  if (code == 404 && is_404xx(error_code)) return REGISTRY_MISSING;
  if (code == 422) return op == OP_LOOK_UP ? REGISTRY_MISSING : REGISTRY_REFUSED;
  if (code == 409 && (op == OP_REGISTER || op == OP_COMPATIBLE)) return REGISTRY_REFUSED;
  return REGISTRY_NOWHERE;
}

static const char *remark(int code) {
  switch (code) {
  case 401: return "it wants to know who asks (registry.username, registry.token_file, ...)";
  case 403: return "who asks may not";
  case 404: return "there is no registry at this URL; is its path whole?";
  case 408: return "the request took too long";
  case 429: return "too many requests";
  default: break;
  }
  if (code / 100 == 3) return "it sends elsewhere, which is not followed: name that URL";
  return code / 100 == 5 ? "the registry itself has trouble" : "no registry answers so";
}

void registry_judge_words(int code, bool json, int64_t error_code, struct buffer *out) {
  buffer_printf(out, "HTTP %d", code);
  if (!json)
    buffer_add_z(out, " with a body that is not the JSON of a registry");
  else if (error_code >= 0)
    buffer_printf(out, " with error_code %lld", (long long)error_code);
  else if (code != 200)
    buffer_add_z(out, " without an error_code");
  buffer_printf(out, ": %s", code == 200 ? "this is not a registry's answer" : remark(code));
}

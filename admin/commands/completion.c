/* busbridge completion: prints the script of a shell, and answers what that script asks.
 * The command's one thread; a crash leaves nothing. */
#include "admin/completion/completion_words.h"
#include "admin/input/options.h"

/* The scripts as they are installed; C17 has no #embed. */
#define SCRIPT(shell)                                                                              \
  __asm__(".section .rodata\n"                                                                     \
          "completion_" #shell "_begin: .incbin \"" SOURCE_ROOT                                    \
          "/admin/completion/busbridge." #shell "\"\n"                                             \
          "completion_" #shell "_end:\n"                                                           \
          ".previous\n");                                                                          \
  extern const char completion_##shell##_begin[], completion_##shell##_end[]
SCRIPT(bash);
SCRIPT(zsh);
SCRIPT(fish);

static int print_script(struct admin *a, const char *shell) {
  const struct {
    const char *name, *begin, *end;
  } scripts[] = {{"bash", completion_bash_begin, completion_bash_end},
                 {"zsh", completion_zsh_begin, completion_zsh_end},
                 {"fish", completion_fish_begin, completion_fish_end}};
  for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
    if (strcmp(shell, scripts[i].name) != 0) continue;
    buffer_append(&a->out, scripts[i].begin, (size_t)(scripts[i].end - scripts[i].begin));
    return CODE_OK;
  }
  complain(a, "There is no completion for %s; there is for bash, zsh and fish", shell);
  return CODE_USAGE;
}

static int run_completion(struct admin *a, const struct command *self, int argc, char **argv) {
  bool ask = false;
  const struct option_row rows[] = {
      {"words", 0, OPTION_FLAG, &ask, NULL,
       "for the scripts: what may stand in place of the last word behind --"},
  };
  int words, code;
  if (!options_take(a, self, rows, 1, argc, argv, 1, 1 << 16, &words, &code)) return code;
  if (ask) {
    candidates_find(a, words, argv);
    return CODE_OK;
  }
  if (words == 1) return print_script(a, argv[0]);
  complain(a, "too many words: usage: busbridge completion bash|zsh|fish");
  return CODE_USAGE;
}

const struct command command_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .words = "bash|zsh|fish",
    .summary = "the script by which a shell completes commands, options and ids",
    .examples = "  . <(busbridge completion bash)        for this shell; in ~/.bashrc for all\n"
                "  busbridge completion zsh > ~/.zfunc/_busbridge\n"
                "  busbridge completion fish > ~/.config/fish/completions/busbridge.fish\n",
    .description =
        "An installed busbridge needs none of it: the scripts lie where the shells look for them. "
        "They ask the program\n"
        "itself, so they know each of its options, the ids of dead letters, events, topics and "
        "settings.",
    .run = run_completion,
    .usage_code = CODE_USAGE,
};

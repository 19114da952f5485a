"""Completion, asked in the real shells: each command and option that --help tells of, choices, ids, keys, names."""

import os
import pty
import re
import select
import shutil
import subprocess
import time
import unittest

import harness
from cli_test import CliTest, clean_environment
from harness import BUILD, ROOT, wait_until

SCRIPTS = ROOT / "admin/completion"


def help_of(*words):
    done = subprocess.run([BUILD / "busbridge", *words, "--help"], capture_output=True, text=True, check=True, timeout=300)
    return done.stdout


def commands():
    lines = help_of().split("Commands:\n")[1].split("\n\n")[0].splitlines()
    return [line.split()[0] for line in lines]


def options(command):
    """--name of each option in a command's help."""
    return set(re.findall(r"^  (?:-\w, |    )?(--[a-z-]+)", help_of(command), re.M))


class CompletionTest(CliTest):
    shell = None

    def setUp(self):
        super().setUp()
        if not shutil.which(self.shell):
            self.skipTest(f"{self.shell} is not installed")
        self.environment = {**clean_environment(), "PATH": f"{BUILD}:{os.environ['PATH']}", "HOME": str(self.dir), "TERM": "dumb",
                            "LC_ALL": "C.UTF-8"}

    def run_shell(self, *command, text=""):
        done = subprocess.run(command, input=text, capture_output=True, text=True, env=self.environment, cwd=self.dir, timeout=300)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def offered(self, *lines):
        """What the shell offers at the end of each line, a set a line."""
        raise NotImplementedError

    def here(self, rest):
        return f"busbridge -X outbox.url=file:{self.outbox} {rest}"


class Rules:
    """The same for every shell."""

    def test_every_command_and_every_option_is_offered(self):
        names = commands()
        self.assertGreater(len(names), 12)
        found = self.offered("busbridge ", *(f"busbridge {name} --" for name in names))
        self.assertLessEqual(set(names), found[0])
        for name, offered in zip(names, found[1:]):
            self.assertGreater(len(options(name)), 4, name)
            self.assertLessEqual(options(name), offered, name)

    def test_choices_keys_ids_and_names(self):
        self.dead_letter("d-100")
        self.dead_letter("d-200")
        self.entry("episode.published", {}, id="p-1", storage_key="p-1")
        lines = {
            "busbridge bus li": {"list"},
            "busbridge help hea": {"health"},
            "busbridge list --type d": {"dlq"},
            "busbridge list -o js": {"json", "jsonl"},
            "busbridge list --namespace q": {"quality"},
            "busbridge list --reason schema": {"schema_mismatch"},
            "busbridge -X flush.b": {"flush.background="},
            "busbridge config redis.t": {"redis.ttl", "redis.timeout"},
            "busbridge schema show quality.checked_": {"quality.checked_via_usecase"},
            "busbridge emit plot.": {"plot.generated", "plot.updated"},
            "busbridge tail pl": {"plot.events"},
            "busbridge completion ": {"bash", "zsh", "fish"},
            self.here("replay "): {"d-100", "d-200"},
            self.here("replay d-100 d-2"): {"d-200"},
            self.here("show "): {"d-100", "d-200", "p-1"},
            "busbridge nonsense ": set(),
        }
        for (line, wanted), offered in zip(lines.items(), self.offered(*lines)):
            self.assertEqual(offered, wanted, line)

    def test_a_value_behind_an_equals_sign(self):
        self.assertEqual([self.behind_equals(x) for x in self.offered("busbridge list --type=d", "busbridge -X flush.background=t")],
                         [{"dlq"}, {"true"}])

    def behind_equals(self, offered):
        """Some shells repeat what stands in front of it."""
        return {word.rpartition("=")[2] for word in offered}

    def test_files_are_left_to_the_shell(self):
        (self.dir / "other.conf").write_text("")
        for offered in self.offered("busbridge -c oth", "busbridge config check oth"):
            self.assertEqual({word.rsplit("/", 1)[-1].strip() for word in offered}, {"other.conf"})

    def test_the_program_prints_the_script_that_is_installed(self):
        self.assertEqual(self.run_cli("completion", self.shell, expect=0).stdout(), (SCRIPTS / f"busbridge.{self.shell}").read_text())


class Bash(CompletionTest, Rules):
    shell = "bash"
    HARNESS = r"""
source "$1"
shift
for line in "$@"; do
  # As readline cuts it.
  mapfile -t COMP_WORDS < <(sed -E 's/([=:])/\n\1\n/g; s/ +/\n/g' <<<"$line" | sed '/^$/d')
  [[ $line == *[\ ] ]] && COMP_WORDS+=('')
  COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_LINE=$line COMP_POINT=${#line}
  _busbridge
  printf '%s\n' "${COMPREPLY[@]}" @
done
"""

    def offered(self, *lines):
        out = self.run_shell("bash", "--norc", "-c", self.HARNESS, "bash", str(SCRIPTS / "busbridge.bash"), *lines)
        return [set(part.split("\n")) - {""} for part in out.split("@\n")[:-1]]

    def test_the_tab_key_completes(self):
        """A terminal and readline itself; also with its way of cutting words."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execvpe("bash", ["bash", "--norc", "--noprofile", "-i"], {**self.environment, "PS1": "> "})
        self.addCleanup(os.waitpid, pid, 0)
        self.addCleanup(os.kill, pid, 9)
        seen = ""

        def see(text):
            nonlocal seen
            if select.select([terminal], [], [], 0.1)[0]:
                seen += os.read(terminal, 4096).decode(errors="replace")
            return text in seen
        os.write(terminal, f"source {SCRIPTS}/busbridge.bash; echo rea''dy\n".encode())
        wait_until(lambda: see("ready"), what="the script is read")
        for typed, whole in (("busbridge heal\t", "busbridge health "), ("busbridge list --type=d\t", "busbridge list --type=dlq "),
                             ("busbridge -X flush.b\ttr\t", "busbridge -X flush.background=true ")):
            seen = ""
            os.write(terminal, b"\x15" + typed.encode())
            wait_until(lambda: see(whole), what=f"{whole!r}, not {seen!r}")


class Zsh(CompletionTest, Rules):
    shell = "zsh"
    SETUP = r"""
PS1='' PS2='' RPS1=''; unsetopt zle_bracketed_paste 2>/dev/null; stty -echo
fpath=($FUNCTIONS $fpath); autoload -Uz compinit; compinit -D -u
zstyle ':completion:*' completer _complete
zstyle ':completion:*' list-max 0; LISTMAX=10000
compadd() {
  local -a hits
  if [[ ${@[1,(i)(-|--)]} != *-[a-zA-Z]#[OAD]\ * ]]; then
    builtin compadd -A hits "$@"
    (( $#hits )) && print -rl -- $hits >>$OFFERED
  fi
  builtin compadd "$@"
}
tab() { zle complete-word; print @ >>$OFFERED }
zle -N tab
bindkey -e; bindkey '^I' tab; bindkey '^X' kill-whole-line
print ready >>$OFFERED
"""

    def offered(self, *lines):
        """In a terminal: zsh completes nowhere else. What compadd is given is written to a file."""
        functions, self.file = self.dir / "functions", self.dir / "offered"
        functions.mkdir(exist_ok=True)
        shutil.copy(SCRIPTS / "busbridge.zsh", functions / "_busbridge")
        self.file.write_text("")
        pid, terminal = pty.fork()
        if pid == 0:
            os.chdir(self.dir)
            os.execvpe("zsh", ["zsh", "-f", "-i"], {**self.environment, "FUNCTIONS": str(functions), "OFFERED": str(self.file)})
        try:
            (self.dir / "setup").write_text(self.SETUP)
            os.write(terminal, b"source ./setup\n")
            self.read_until(terminal, lambda text: text.startswith("ready\n"))
            for number, line in enumerate(lines, 1):
                os.write(terminal, b"\x18" + line.encode() + b"\t")
                self.read_until(terminal, lambda text: text.count("@\n") >= number)
        finally:
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(terminal)
        return [set(part.split("\n")) - {"", "ready"} for part in self.file.read_text().split("@\n")[:-1]]

    def read_until(self, terminal, condition):
        """What the terminal shows is thrown away: if nobody reads it, zsh waits."""
        deadline = time.monotonic() + 60
        while not condition(self.file.read_text()):
            self.assertLess(time.monotonic(), deadline, self.file.read_text())
            if select.select([terminal], [], [], 0.05)[0]:
                os.read(terminal, 65536)


class Fish(CompletionTest, Rules):
    shell = "fish"

    def offered(self, *lines):
        script = f"source {SCRIPTS}/busbridge.fish\n" + "".join(f"complete -C '{line}'; echo @\n" for line in lines)
        out = self.run_shell("fish", "--no-config", "-c", script)
        return [{line.split("\t")[0] for line in part.split("\n")} - {""} for part in out.split("@\n")[:-1]]


class Usage(CliTest):
    def test_another_shell_is_refused_in_words(self):
        self.assertIn("for bash, zsh and fish", self.run_cli("completion", "tcsh", expect=2).stderr())
        self.assertIn("did you mean completion?", self.run_cli("completoin", expect=2).stderr())

    def test_what_cannot_be_found_out_is_left_out_quietly(self):
        quiet = self.run_cli("completion", "--words", "--", "-X", "outbox.url=file:/nowhere", "replay", "", expect=0)
        self.assertEqual(quiet.stdout(), "")
        hostile = self.dead_letter("a;rm -rf $HOME")
        self.dead_letter("b-1")
        self.assertTrue(hostile)
        shown = self.run_cli("completion", "--words", "--", "replay", "", expect=0, options={"outbox.url": f"file:{self.outbox}"})
        self.assertEqual([line.split("\t")[0] for line in shown.stdout().splitlines()], ["b-1"])


if __name__ == "__main__":
    harness.main()

"""References from any file to a page, a section, a manual page, a suite or a name in the sources: each must lead to something.

faults() gives a line each that does not. RULES are functions of (path, text) that yield (line number, words); each has a sample below
that is wrong, and can_fail() says which rule lets its own sample pass.
"""
import re
import subprocess
from functools import lru_cache
from pathlib import Path

TABLE_OF_FAULTS = "tests/README.md"
RULES_OF = {"L": "bridge/relay/PROTOCOL.md", "S": "bridge/outbox/README.md", "I": TABLE_OF_FAULTS}
# Manual pages of the system that our pages may name; (2) and (3) in code are calls as often as pages.
SYSTEM_PAGES = {"link(2)", "linkat(2)"}
SOURCE = (".c", ".h", ".py", ".pml")
SUITES = "unit|contract|fuzz|integration|crash|chaos|model|simulate"


@lru_cache
def files():
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], capture_output=True, text=True, check=True)
    kept = (Path(name) for name in listed.stdout.splitlines() if "/corpus/" not in name and "/recorded/outboxes" not in name
            and "/integration/typed/" not in name)
    return tuple(sorted({path for path in kept if path.is_file() and not path.is_symlink()}))


@lru_cache
def read(path):
    return Path(path).read_text(encoding="utf-8", errors="replace")


def lines(text):
    return enumerate(text.splitlines(), 1)


def is_page(path):
    return path.suffix == ".md"


def is_manual(path):
    return re.fullmatch(r"\.[1-8]", path.suffix)


@lru_cache
def find(near, name):
    """The file of that name, seen from a folder: there, or from one above it."""
    for folder in (near, *near.parents):
        for found in sorted(folder.glob(name)) if "*" in name else [folder / name]:
            if found.exists():
                return found
    return None


# ---- pages and their sections

def pages(path, text):
    """NAME.md, and NAME.md N: its section "## N." """
    for number, line in lines(re.sub(r"\[[^]\n]*\](?=\()|https?://\S+", "", text)):  # of a link its target, not what it is called
        for name, section in re.findall(r"(?<![\w/.*<>-])((?:[\w.-]+/)*[\w-]+\.md)\b(?:\)?,? (\d+)\b)?", line):
            page = find(path.parent, name)
            if not page:
                yield number, f"{name} is not there"
            elif section and not re.search(rf"^## {section}\. ", read(page), re.M):
                yield number, f"{name} has no section {section}"


def links(path, text):
    if not is_page(path):
        return
    for number, line in lines(text):
        for target, anchor in re.findall(r"\]\(([^)#: ]*)(?:#([^)]*))?\)", line):
            page = path.parent / target if target else path
            if not page.exists():
                yield number, f"{target} is not there"
            elif anchor and anchor not in [re.sub(r"[^\w -]", "", head).replace(" ", "-").lower()
                                           for head in re.findall(r"^#+ (.*)$", read(page), re.M)]:
                yield number, f"{target}#{anchor}: there is no such heading"


def elsewhere(path, text):
    """Sections by number of pages that have no name here."""
    for number, line in lines(text):
        for words in re.findall(r"\bdesign(?:'s)? (?:steps\b|\d+)|\bcontract \d+|\(table:? ?\d+\)", line):
            yield number, f'"{words}": of which page?'


# ---- the manual

def manual_pages(path, text):
    wanted = r"\b(busbridge[\w.-]*)\(([1-9])\)(?:, ([A-Z]{4,}))?"
    if is_page(path):
        wanted = r"(?<![\w.])([a-z][\w.-]*)\(([1-9])\)(?:, ([A-Z]{4,}))?"
    for number, line in lines(text):
        found = re.findall(wanted, line)
        if is_manual(path):
            found += [(*words, "") for words in re.findall(r"^\.Xr (\S+) ([1-9])", line)]
        for name, section, head in found:
            page = next((p for top in ("worker", "admin") if (p := Path(top, f"{name}.{section}")).exists()), None)
            if not page and f"{name}({section})" not in SYSTEM_PAGES:
                yield number, f"there is no manual page {name}({section})"
            elif page and head and not re.search(rf"^\.Sh {head}", read(page), re.M):
                yield number, f"{name}({section}) has no section {head}"


# ---- tests, faults, rules

@lru_cache
def suites():
    return frozenset(subprocess.run(["tests/run", "--list"], capture_output=True, text=True, check=True).stdout.split())


def named_suites(path, text):
    if not is_page(path):
        return
    for number, line in lines(text):
        for name in re.findall(rf"(?<![\w./-])(?:{SUITES})\.[a-z]\w*\b(?![.(/])", line):
            if name not in suites() and not name.endswith(SOURCE):
                yield number, f"no suite is called {name}"


def rows(page, letter):
    return re.findall(rf"^\| {letter}(\d+) \|(.*)$", read(page), re.M)


def numbered_faults(path, text):
    known = rows(TABLE_OF_FAULTS, "")
    for number, line in lines(text):
        for fault in re.findall(r"\bfaults? (\d+)\b", line):
            if fault not in dict(known):
                yield number, f"{TABLE_OF_FAULTS} has no fault {fault}"


def numbered_rules(path, text):
    """L and S beside the code they are of and in its tests, I in what judges."""
    letters = "ILS" if str(path) == TABLE_OF_FAULTS else "I" if path.parts[0] == "tests" else "LS" if path.parts[:2] in (("bridge", "outbox"), ("bridge", "relay")) else ""
    for number, line in lines(text):
        for letter, rule in re.findall(rf"(?<![\w\"'-])([{letters}])(\d{{1,2}})\b(?!\(|\.\d)", line) if letters else []:
            if rule not in dict(rows(RULES_OF[letter], letter)):
                yield number, f"{RULES_OF[letter]} has no {letter}{rule}"
    for letter, page in RULES_OF.items():
        found = rows(page, letter) if str(path) == page else []
        if [int(rule) for rule, _ in found] != list(range(1, len(found) + 1)):
            yield 1, f"the rules {letter}1 to {letter}{len(found)} are not counted one by one"
        for rule, row in found:
            if letter != "I" and not re.search(rf"\b(?:{SUITES})\.\w|\bmodel `", row.split("|")[1]):
                yield 1, f"{letter}{rule}: which test catches who breaks it?"


def words_of_rules(path, text):
    """The words of L and S stand in rules.h beside their page: the page's table says the same, rule by rule."""
    if path.name != "rules.h":
        return
    letter = next((letter for letter, page in RULES_OF.items() if Path(page).parent == path.parent), None)
    defined = re.findall(r'^#define RULE_([LS]\d+)((?:[ \\\n]+"[^"\n]*")+)', text, re.M)
    here = {rule: "".join(re.findall(r'"([^"]*)"', parts)) for rule, parts in defined}
    there = {letter + rule: row.split("|")[0].strip().replace("`", "") for rule, row in rows(RULES_OF[letter], letter)}
    for rule in sorted({*here, *there}, key=lambda rule: int(rule[1:])):
        if here.get(rule) != there.get(rule):
            yield 1, f"{rule} has other words in {RULES_OF[letter]}"


def broken_rules(path, text):
    """Who ends the process for a rule names one."""
    for number, line in lines(text) if path.suffix in (".c", ".h") else []:
        for rule in re.findall(r"\bBUG_ON_RULE\(([LS]\d+),", line):
            if rule[1:] not in dict(rows(RULES_OF[rule[0]], rule[0])):
                yield number, f"{RULES_OF[rule[0]]} has no {rule}"


@lru_cache
def held_rules():
    return frozenset(rule for path in files() if path.parts[0] == "bridge" and path.name != "rules.h" and path.suffix in (".c", ".h")
                     for rule in re.findall(r"\bBUG_ON_RULE\(([LS]\d+),", read(path)))


def rules_held(path, text):
    """A rule is looked at where the code could break it."""
    for number, line in lines(text) if path.name == "rules.h" else []:
        for rule in re.findall(r"^#define RULE_([LS]\d+)\b", line):
            if rule not in held_rules():
                yield number, f"{rule}: no BUG_ON_RULE looks at it"


def rules_of_mistakes(path, text):
    """A seeded mistake names at its end, in brackets, the rules of which it breaks one: those whose row names it."""
    mistakes = {"tests/model/run": r"^([A-Z_]+) +\w+ +(?:quick|full) +([^(\n].*)$",
                "tests/crash/seeds": r'^ +Seed\("(\w+)",\s*"([^"]*)"'}.get(str(path))
    tables = [(letter + rule, row) for letter in "LS" for rule, row in rows(RULES_OF[letter], letter)] if mistakes else []
    for match in re.finditer(mistakes, text, re.M) if mistakes else []:
        name, what = match.groups()
        said = set(re.findall(r"\b[LS]\d+\b", (re.findall(r"\([^()]*\)$", what) or [""])[0]))
        named = {rule for rule, row in tables if f"`{name}`" in row.split("|")[1]}
        if said != named:
            yield text.count("\n", 0, match.start()) + 1, f"{name} breaks {' '.join(sorted(said)) or 'no rule'}, the tables say {' '.join(sorted(named)) or 'none'}"


def rules_of_faults(path, text):
    """Each rule stands at a fault that a suite of its own row tries."""
    table = {letter + rule: set(re.findall(rf"\b(?:{SUITES})\.\w+", row)) for letter in "LS" for rule, row in rows(RULES_OF[letter], letter)}
    tried = set()
    for number, line in lines(text) if str(path) == TABLE_OF_FAULTS else []:
        cells = line.strip("| ").split(" | ")
        if not re.fullmatch(r"\d+", cells[0]):
            continue
        for rule in re.findall(r"\b[LS]\d+\b", cells[2]):
            tried.add(rule)
            if not table.get(rule, set()) & set(re.findall(rf"\b(?:{SUITES})\.\w+", cells[3])):
                yield number, f"fault {cells[0]}: none of its suites stands at {rule}"
    for rule in table if str(path) == TABLE_OF_FAULTS else []:
        if rule not in tried:
            yield 1, f"{rule} stands at no fault"


def tests_of_rules(path, text):
    """suite.name (`a_test`): that suite has it."""
    for number, line in lines(text) if is_page(path) else []:
        for kind, name, tests in re.findall(rf"\b({SUITES})\.(\w+) \(((?:`\w+`(?:, )?)+)\)", line):
            sources = [read(file) for file in files() if file.stem == f"{name}_test" and file.parts[:2] == ("tests", kind)]
            for test in re.findall(r"`(\w+)`", tests):
                if not any(re.search(rf"\b{test}\b", source) for source in sources):
                    yield number, f"{kind}.{name} has no test {test}"


# ---- names in the sources

@lru_cache
def words():
    text = " ".join(read(path) for path in files() if not is_page(path) and not is_manual(path) and path != Path("tests/tools/references.py"))
    return frozenset(re.findall(r"\w+", text))


@lru_cache
def included():
    return frozenset(name for path in files() if path.suffix in (".c", ".h") for name in re.findall(r"^#include <(\S+)>", read(path), re.M))


def names(path, text):
    """`file.c`, `a_name` and `A_NAME` of a page; `a_name()` is a call of somebody else's library."""
    if not is_page(path):
        return
    for number, line in lines(text):
        for name in re.findall(r"`([^`<>\s]+)`", line):
            if name.endswith(SOURCE) and re.fullmatch(r"[\w*][\w./*-]*", name):
                if not find(path.parent, name) and name not in included():
                    yield number, f"{name} is not there"
            elif re.fullmatch(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+", name) and not {name, metric := name.removeprefix("busbridge_"), metric.removesuffix("_total")} & words():
                yield number, f"{name} stands nowhere in the sources"


# Each with a file and a text that it must refuse.
RULES = {
    pages: [("bridge/relay/x.c", "/* see nothing.md */"), ("bridge/relay/x.c", "/* PROTOCOL.md 99 */")],
    links: [("README.md", "[a page](bridge/nothing.md)"), ("README.md", "[a heading](bridge/README.md#nothing)")],
    elsewhere: [("x.c", "/* design 5 */"), ("x.c", "/* by the design's steps */"), ("x.py", '"""(table: 4)"""'), ("x.h", "/* contract 2 */")],
    manual_pages: [("x.c", '"See busbridge-nothing(8)"'), ("worker/x.5", ".Xr nothing 8"), ("README.md", "nothing(2)"),
                   ("README.md", "busbridge-worker(8), NOTHING")],
    named_suites: [("README.md", "unit.nothing shows it")],
    numbered_faults: [("tests/chaos/x_row.py", "(fault 99)")],
    numbered_rules: [("bridge/relay/x.c", "/* L99 */"), ("bridge/outbox/x.h", "/* S99 */"), ("tests/x.md", "as I99 says"), ("bridge/outbox/x.c", "/* S99. */")],
    words_of_rules: [("bridge/relay/rules.h", '#define RULE_L1 \\\n  "Anything else."\n')],
    broken_rules: [("bridge/relay/x.c", "  BUG_ON_RULE(L99, true);")],
    rules_held: [("bridge/relay/rules.h", "#define RULE_L99 \\\n")],
    rules_of_mistakes: [("tests/model/run", "NO_FENCING  blind  quick  words (L1)\n"), ("tests/model/run", "NO_FENCING  blind  quick  words\n"),
                        ("tests/crash/seeds", '    Seed("no_fencing", "words (L14, S1)", ZOMBIE, {}, [')],
    rules_of_faults: [(TABLE_OF_FAULTS, "| 1 | kill | I1; L9 | chaos.kill | 1 | 2 |\n"), (TABLE_OF_FAULTS, "no table\n")],
    tests_of_rules: [("bridge/relay/PROTOCOL.md", "| L9 | Words. | unit.settle (`no_such_test`) |"), ("README.md", "integration.nothing (`test_a`)")],
    names: [("bridge/README.md", "`relay/nothing.c`"), ("bridge/README.md", "`no_such_name`"), ("bridge/README.md", "`NO_SUCH_NAME`")],
}


def can_fail():
    """The rules that let their own samples pass."""
    return [f"{rule.__name__}: {sample[1]}" for rule, samples in RULES.items() for sample in samples
            if not list(rule(Path(sample[0]), sample[1]))]


def faults():
    for path in files():
        if path == Path("tests/tools/references.py"):
            continue
        for rule in RULES:
            yield from (f"{path}:{number}: {what}" for number, what in rule(path, read(path)))

"""Names in the sources, for check_layers: helpers of one word that many files have, files that many modules call the same, words of the
glossary that stand twice, and names made of a word that it has another one for. And how long functions are. The tables are those of bridge/README.md.

Sources are (path, code) without comments and strings.
"""
import collections
import os
import re

SAME_HELPER = 3  # so many files may have a helper of one word by the same name
LONGEST = 43     # lines of a function
SAME_FILE = 2    # so many modules may have a file of the same name
HELPER = re.compile(r"^static [^;={}()]*?\b\*?([a-z][a-z0-9]*)\([^;{}]*\)\s*\{", re.M)
# Of the names that once had to be looked into to know what they hold: none comes back.
OPAQUE = set("desk front hands left letters look moves growing tell take lost isolate reserve waiting glance books census tallies frozen "
             "finding examination numbers judge replaying entries candidates patience line due".split())


def module_of(path):
    parts = path.split("/")
    return "/".join(parts[:2] if parts[0] == "bridge" else parts[:1])


def stem(path):
    return os.path.splitext(os.path.basename(path))[0]


def helpers(sources):
    """Functions that one file has to itself, of one word, by name: the files."""
    found = collections.defaultdict(set)
    for path, code in sources:
        for name in HELPER.findall(code):
            found[name].add(path)
    return found


def helper_faults(sources):
    for name, paths in sorted(helpers(sources).items()):
        if len(paths) > SAME_HELPER:
            yield f"{min(paths)}: {name}() is a helper of {len(paths)} files ({' '.join(sorted(paths))}); say what it works on"


def file_faults(paths, excepted):
    modules = collections.defaultdict(set)
    for path in paths:
        modules[stem(path)].add(module_of(path))
        if stem(path) in OPAQUE:
            yield f"{path}:1: {stem(path)} does not say what the file holds"
    for name, found in sorted(modules.items()):
        if len(found) > SAME_FILE and name not in excepted:
            yield f"{min(found)}: {name} is a file of {len(found)} modules ({' '.join(sorted(found))})"
    for name in sorted(excepted):
        if len(modules[name]) <= SAME_FILE:
            yield f"bridge/README.md: {name} is no file of more than {SAME_FILE} modules any more"


def length_faults(sources):
    """Of a function, from the line that opens its body to the one that ends it."""
    for path, code in sources:
        head, began = False, 0
        for number, line in enumerate(code.split("\n"), 1):
            if re.match(r"[A-Za-z_][^=;]*\(", line):
                head, began = True, 0
            if head and line.endswith(";"):
                head = False
            elif head and line.endswith("{"):
                head, began = False, number
            elif line == "}" and began:
                if number - began >= LONGEST:
                    yield f"{path}:{began}: a function of {number - began + 1} lines; the most are {LONGEST}"
                began = 0


def glossary_faults(words, where="bridge/README.md"):
    """words: (word, meaning, the words that it is used for instead of)."""
    nouns = [noun for word, _, _ in words for noun in word.split(", ")]
    for noun in sorted({noun for noun in nouns if nouns.count(noun) > 1}):
        yield f"{where}: the word {noun} stands twice"
    if [word for word, _, _ in words] != sorted(word for word, _, _ in words):
        yield f"{where}: the words are not in the order of the alphabet"
    for word, meaning, _ in words:
        if not meaning:
            yield f"{where}: the word {word} has no meaning"


def synonym_faults(sources, words):
    """A part of a name (between its underscores) that is a word the glossary does without."""
    instead = {other: word for word, _, others in words for other in others.split()}
    for path, code in sources:
        for number, line in enumerate(code.split("\n"), 1):
            for name in re.findall(r"[A-Za-z]\w*", line):
                for part in name.lower().split("_"):
                    if part in instead:
                        yield f"{path}:{number}: {name}: the word is {instead[part]}"

"Lines that a benchmark prints, kept for its results file, in parts that may be measured apart"

import sys

SAID = {}


def say(text, part=""):
    "Print a line and keep it"
    print(text, flush=True)
    SAID.setdefault(part, []).append(text)


def store(path):
    "Write the lines to the results file; a part that was not measured this time stays as the file has it"
    head, *old = path.read_text(encoding="utf-8").split("\n## ") if path.exists() else [""]
    parts = dict(part.split("\n", 1) for part in old if part.split("\n", 1)[0] not in SAID)
    parts |= {name: "\n".join(lines) for name, lines in SAID.items() if name}
    head = "\n".join(SAID[""]) if "" in SAID else head.split("\n", 1)[-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = [f"# {sys.argv[0].rpartition('/')[2]}", head.strip()]
    text += [f"## {name}\n\n{lines.strip()}" for name, lines in sorted(parts.items(), reverse=True)]
    path.write_text("\n\n".join(filter(None, text)) + "\n", encoding="utf-8")

"Lines that a benchmark prints, kept for its results file"

import sys
from pathlib import Path

SAID = []


def say(text):
    "Print a line and keep it"
    print(text, flush=True)
    SAID.append(text)


def store(path):
    "Write the lines to the results file"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {Path(sys.argv[0]).name}\n\n" + "\n".join(SAID) + "\n")

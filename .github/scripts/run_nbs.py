"Run notebooks in place and keep their outputs, skipping what nbdev_test skips (`--slow` runs the slow cells too)"

import os
import re
import sys
import time
from pathlib import Path

from execnb.nbio import write_nb
from execnb.shell import CaptureShell
from fastcore.xtras import working_directory
from nbdev.config import get_config
from nbdev.process import NBProcessor

# importing fastai warns on newer torch, and resets the filters that would hide it; a slow machine shows progress
PASSING = re.compile(r"torch\.jit\.script|\A([\w ]+: \d+(/\d+)?, [\d.]+/s(, about \d+ s left)?\n)+\Z")


def run_nb(fn, flags):
    "Run `fn` top to bottom; cells that carry one of `flags` keep the outputs they have"
    nb = NBProcessor(fn, rm_directives=False).nb

    def skip(cell):
        d = getattr(cell, "directives_", None) or {}
        left_out = (
            cell.cell_type != "code"
            or "nbdev_export(" in cell.source
            or d.get("eval:", [""])[0].lower() == "false"
            or bool(flags & d.keys())
        )
        if not left_out:
            cell["outputs"] = []  # one that has become silent would keep what it said before
        return left_out

    shell = CaptureShell(fn, mpl_format="png")
    with working_directory(fn.parent):
        shell.run_all(nb, exc_stop=True, preproc=skip)
    for cell in nb.cells:
        for name in ("directives_", "idx_"):
            cell.pop(name, None)
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if not PASSING.search("".join(o.get("text", "")))]
    write_nb(nb, fn)


if __name__ == "__main__":
    cfg = get_config()
    sys.path.insert(0, str(cfg.config_path))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    flags = set(cfg.tst_flags.split())
    if "--slow" in sys.argv:
        flags.discard("slow")
    for fn in (Path(a) for a in sys.argv[1:] if not a.startswith("--")):
        start = time.time()
        run_nb(fn.absolute(), flags)
        print(f"{fn}: {time.time() - start:.1f}s")

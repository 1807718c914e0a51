"Every check, and every notebook in a process of its own; ends with `N passed, N failed, N skipped`"

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from checks import BIN, CHECKS, ROOT, cells, notebooks, source

TIMEOUT = 1800  # seconds a notebook may take before it is killed: nbdev_test itself knows no limit


def test_notebook(nb, flags):
    "(name, complaint or None, seconds)"
    env = {**os.environ, "OMP_NUM_THREADS": "1", "RISKCLF_THREADS": "1", "MPLBACKEND": "agg"}
    start = time.time()
    args = [str(BIN / "nbdev_test"), "--path", str(nb), "--n_workers", "0", *(["--flags", flags] if flags else [])]
    try:
        done = subprocess.run(args, cwd=ROOT, env=env, capture_output=True, text=True, timeout=TIMEOUT)
        text = done.stdout + done.stderr
        complaint = text[-3000:] if done.returncode or "Success" not in text else None
    except subprocess.TimeoutExpired:
        complaint = f"took over {TIMEOUT} s"
    return nb.name, complaint, time.time() - start


def skipped_cells(nbs, everything):
    "How many cells the flags leave out"
    names = "gpu|notest" if everything else "slow|gpu|notest"
    return sum(
        bool(re.search(rf"^#\|\s*({names})\b", source(c), re.M))
        for nb in nbs
        for c in cells(nb)
        if c["cell_type"] == "code"
    )


def main(everything):
    passed, failed, nbs = 0, [], notebooks()
    for check in CHECKS:
        complaints = check()
        print(f"{'FAIL' if complaints else 'ok  '} {check.__doc__}", flush=True)
        for c in complaints[:20]:
            print(f"     {c}", flush=True)
        if complaints:
            failed.append(check.__name__)
        else:
            passed += 1
    with ThreadPoolExecutor(2) as pool:
        last_first = nbs[::-1]  # the last chapters take longest: begun last, one of them would run alone at the end
        for name, complaint, seconds in pool.map(lambda nb: test_notebook(nb, "slow" * everything), last_first):
            print(f"{'FAIL' if complaint else 'ok  '} {name} ({seconds:.0f} s)", flush=True)
            if complaint:
                print(complaint, flush=True)
            if complaint:
                failed.append(name)
            else:
                passed += 1
    skipped = skipped_cells(nbs, everything)
    if everything:
        done = subprocess.run([sys.executable, "-m", "pytest", "-q", "tests"], cwd=ROOT, capture_output=True, text=True)
        print(done.stdout[-6000:], done.stderr[-2000:], flush=True)
        counts = {
            word: int(n)
            for n, word in re.findall(
                r"(\d+) (passed|failed|skipped|error)", done.stdout.rsplit("\n", 2)[-2] if done.stdout else ""
            )
        }
        passed, skipped = passed + counts.get("passed", 0), skipped + counts.get("skipped", 0)
        if done.returncode:
            failed += ["tests/"] * max(1, counts.get("failed", 0) + counts.get("error", 0))
    if failed:
        print("failed:", ", ".join(dict.fromkeys(failed)))
    print(f"{passed} passed, {len(failed)} failed, {skipped} skipped")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main("--all" in sys.argv)

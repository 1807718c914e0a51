"""Grouped splits of public sets that others can use and cite, and what random splits would have made of the same model.

    python benchmarks/splits.py DATA_FOLDER [--task fire tile_defect ...] [--folds 5] [--repeats 2]

DATA_FOLDER holds fire_cair, magnetic_tile and neu_seg. For each task it writes splits/TASK.csv: one line an item, by
content (sha256 of the file, and a perceptual hash that survives resizing and another compression), with its group, a
60/10/30 split and grouped folds; no pictures, no names, no labels. Then the head of the default recipe is trained on
frozen features twice, on folds of single items and on the grouped folds of the file, and both figures are written to
results/splits.md with the interval of their difference.
"""

import argparse
import time
from pathlib import Path

import pandas as pd
from accuracy import TASKS

from riskclf.data.splits import grouped_folds, split_manifest
from riskclf.evaluation.intervals import format_figure
from riskclf.outlook import measure_leakage, open_bench
from riskclf.pipeline import prepare_data

HERE = Path(__file__).parent
SEED = 0
TOLD = {"fire": "fire or normal", "tile_defect": "any defect or free", "tile_types": "five defects and free",
        "neu_seg": "inclusion, patches, scratches"}
SOURCES = {"column": "stated by the set", "near duplicates": "clusters of near duplicates"}


def read(task, data, cache):
    "All usable items of a task with groups, and features of the default recipe"
    how = {k: v for k, v in TASKS[task].items() if k != "folder"}
    everything = "90,10,0,0"  # an outlook looks at train and valid
    prepared = prepare_data(data/TASKS[task]["folder"], split=everything, check_cache=cache/"checks.jsonl", **how)
    return prepared, open_bench(prepared, "default", cache/"features")


def write_split(df, path, folds, repeats):
    "One line an item: hashes, group, split, and the fold it is tested in"
    names = {g: k for k, g in enumerate(dict.fromkeys(df.sort_values("sha256")["group"]))}
    out = pd.DataFrame(dict(sha256=df["sha256"], phash=df["phash"], group=df["group"].map(names)))
    out["split"] = split_manifest(df.drop(columns="split"), (60, 10, 30, 0), seed=SEED)["split"]
    for k, (_, test) in enumerate(grouped_folds(df, folds, repeats, SEED)):
        out.loc[out.index[test], f"folds_{k // folds}"] = str(k % folds)
    for name in ["split", *(f"folds_{r}" for r in range(repeats))]:
        assert (out.groupby("group")[name].nunique() == 1).all(), f"a group straddles {name}"
    path.parent.mkdir(exist_ok=True)
    out.sort_values("sha256").to_csv(path, index=False)


def rows(task, prepared, bench, report):
    "Lines of the table"
    about = f"{task} | {TOLD[task]} | {report['n']} | {report['n_groups']}, {SOURCES[prepared.group_source]}"
    for name, parts in report["figures"].items():
        shown = " | ".join(format_figure(parts[k]) for k in ("random", "grouped", "difference"))
        yield f"| {about} | {name.replace('_', ' ')} | {shown} |"
        about = " | | | "


HEAD = """# Grouped splits, and what random ones would have read

`benchmarks/splits/TASK.csv` has one line an item: `sha256` of the file, `phash` (64 bit perceptual hash, for copies
that were resized or compressed again), `group`, `split` (60% train, 10% valid, 30% calibration) and `folds_0`,
`folds_1`, ... (the fold in which the item is tested; each column is a partition of its own). No group straddles a
border. Join the file with your copy by hash.

The table shows the head of the default recipe on frozen features: the same model, the same items, {folds} folds,
{repeats} partitions; once with folds of single items and once with the grouped folds of the file. Intervals are 95%
studentised bootstraps over groups, widened by the luck of the partitions; the difference is paired. A difference
whose interval lies above 0 is what the random split adds that a new group would not give. AUROC is that of the
alarm classes against the others, or the mean over classes where there is no alarm.

Where every item is a group of its own (fire and neu_seg: no near duplicates are left in these subsets, and nothing else
is known of a common origin), both columns ask the same question, and their difference is the luck of the partitions.

| task | classes | items | groups | figure | random folds | grouped folds | random less grouped |
|---|---|---|---|---|---|---|---|
"""
TAIL = """
Sources: fire is a subset of `cair/Fire-Detection-Image-Dataset`, resized and compressed again (find its items by
`phash`); tile is a subset of `abin24/Magnetic-tile-defect-datasets.`, files unchanged, groups are pieces
photographed several times under different exposure; neu_seg is a subset of `DHW-Master/NEU_Seg` without defect-free
pictures. Made by `python benchmarks/splits.py DATA_FOLDER --folds {folds} --repeats {repeats}`.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--task", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--cache", type=Path, default=HERE/"cache")
    parser.add_argument("--out", type=Path, default=HERE/"results"/"splits.md")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    lines = []
    for task in args.task:
        start = time.perf_counter()
        prepared, bench = read(task, args.data, args.cache)
        write_split(bench.df, HERE/"splits"/f"{task}.csv", args.folds, args.repeats)
        report = measure_leakage(bench, args.folds, args.repeats, SEED)
        lines += rows(task, prepared, bench, report)
        print(*list(lines)[-len(report["figures"]):], f"{time.perf_counter() - start:.0f} s", sep="\n", flush=True)
    if set(args.task) != set(TASKS): return
    how = dict(folds=args.folds, repeats=args.repeats)
    args.out.write_text(HEAD.format(**how) + "\n".join(lines) + "\n" + TAIL.format(**how), encoding="utf-8")


if __name__ == "__main__":
    main()

"""How well likely label errors are found with the features and the head that `riskclf train` uses.

    python benchmarks/label_errors.py [--data FOLDER --classes safe,unsafe] [--noise 0.05 0.1 0.2] [--draws 2]

Without --data it draws scenes (`make_scenes`) and knows which labels are wrong. With a folder its labels are taken to
be right, which they are not quite, so precision then reads too low. Labels are flipped at random, by picture and by
group; every item is judged out of fold by group. Prints a table and writes benchmarks/results/label_errors.md.
"""
import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from riskclf.data.synthetic import make_scenes
from riskclf.evaluation.labels import METHODS, likely_errors, out_of_fold_predictions
from riskclf.outlook import open_bench
from riskclf.pipeline import prepare_data


def flip(truth, groups, noise, by_group, num_classes, seed):
    "Labels of which a share is wrong"
    rng, codes = np.random.default_rng(seed), np.unique(groups, return_inverse=True)[1]
    wrong = (rng.random(codes.max() + 1) < noise)[codes] if by_group else rng.random(len(truth)) < noise
    other = (rng.integers(1, num_classes, codes.max() + 1)[codes] if by_group
             else rng.integers(1, num_classes, len(truth)))
    return np.where(wrong, (truth + other) % num_classes, truth), wrong


def measure(bench, noise, by_group, seed):
    "Items found, precision and recall of each way to look"
    from riskclf.training.balance import out_of_fold
    groups = bench.df["group"].to_numpy(dtype=str)
    labels, wrong = flip(bench.targets, groups, noise, by_group, len(bench.scale), seed)
    named = bench.df.assign(label=np.array(bench.scale.names)[labels], split="train")
    logits = out_of_fold(bench.head, named, bench.features, bench.scale, bench.recipe, seed=seed, **bench.changes)
    probs = out_of_fold_predictions(named, bench.scale, logits).probs
    ways = {m: likely_errors(probs, labels, m) >= 0 for m in METHODS[:2]}
    own = probs[np.arange(len(labels)), labels]
    ways["lowest confidence, as many"] = np.isin(np.arange(len(labels)), own.argsort()[:ways[METHODS[0]].sum()])
    ways["disagreement"] = probs.argmax(axis=1) != labels
    return [dict(wrong="groups" if by_group else "pictures", noise=noise, way=w, found=int(f.sum()),
                 precision=wrong[f].mean() if f.any() else np.nan, recall=f[wrong].mean() if wrong.any() else np.nan,
                 accuracy=(probs.argmax(axis=1) == bench.targets).mean()) for w, f in ways.items()]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--classes")
    parser.add_argument("--noise", type=float, nargs="*", default=[0.05, 0.1, 0.2])
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/cache"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/label_errors.md"))
    args = parser.parse_args()
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        if args.data is None: make_scenes(folder, n=450, size=args.size, hazard_share=0.25, difficulty=0.1, seed=4)
        prepared = prepare_data(args.data or folder, classes=args.classes, split="90,10,0,0", certify=False)
        bench = open_bench(prepared, "default", args.cache/"features", size=args.size)
    rows = [row for by_group in (False, True) for noise in args.noise for seed in range(args.draws)
            for row in measure(bench, noise, by_group, seed)]
    table = pd.DataFrame(rows).groupby(["wrong", "noise", "way"], sort=False).mean().round(2).reset_index()
    lines = ["| " + " | ".join(map(str, r)) + " |" for r in [table.columns, ["---"] * len(table.columns),
                                                             *table.itertuples(index=False)]]
    name = "scenes" if args.data is None else args.data.name
    text = (f"# label_errors.py\n\n{name}: {len(bench.df)} items in {bench.df['group'].nunique()} groups, size "
            f"{args.size}, draws of the noise: {args.draws}; `accuracy` against the labels before the flips; "
            f"{time.perf_counter() - start:.0f} s\n\n" + "\n".join(lines) + "\n")
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)


if __name__ == "__main__": main()

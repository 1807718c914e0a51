"""Subgroups of a real set: what a certificate over all tiles hides, and what each exposure lacks.

    python benchmarks/subgroups.py DATA_FOLDER [--max-miss-rate 0.1] [--work benchmarks/cache]

DATA_FOLDER holds magnetic_tile: each tile photographed at up to six exposures, a tile is a group, so that most groups
lie in several subgroups. Trains the default recipe on half of the tiles, certifies on the rest, over all of them and by
exposure. Prints the tables and writes them to results/subgroups.md.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from riskclf import workflow
from riskclf.core import load_predictions
from riskclf.evaluation.certificate import certify_miss_rate
from riskclf.evaluation.intervals import format_figure, rate_figure
from riskclf.evaluation.subgroups import certify_subgroups, plan_subgroups, subgroup_frame, subgroup_masks, unit_counts

TILES = "free,defect=blowhole+break+crack+fray+uneven"


def calibration_set(data, work):
    "Predictions for tiles that the model never saw; a run that stands in `work` is used again"
    found = work/"subgroups-run"/"evaluation"/"predictions.parquet"
    if not found.exists():
        workflow.train(data/"magnetic_tile", out=str(work/"subgroups-run"), classes=TILES, split="45,5,50,0",
                       cache=str(work/"features"), ledger=str(work/"subgroups.sqlite"), overwrite=True)
    return load_predictions(found).subset("calibration")


def markdown(table):
    "A table as lines of Markdown"
    table = table.round(4).reset_index().astype(str)
    rows = [list(table.columns), ["---"]*table.shape[1], *table.values.tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def measured(preds, masks, threshold):
    "Measured miss rate of each subgroup at one threshold, over tiles"
    rows = {}
    for name, mask in masks.items():
        part = preds.take(mask & preds.unsafe)
        rows[name] = format_figure(rate_figure(part.risk < threshold, groups=part.groups, nothing="no defect"))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--max-miss-rate", type=float, default=0.1)
    parser.add_argument("--work", type=Path, default=Path("benchmarks/cache"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/subgroups.md"))
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    preds, rate = calibration_set(args.data, args.work), args.max_miss_rate
    masks = subgroup_masks(preds.frame, "exposure")
    tiles = len(set(preds.groups[preds.unsafe]))
    overall = certify_miss_rate(preds, rate, unit="all", accept_provable=True)
    shared = certify_subgroups(preds, "exposure", rate, unit="all", split=False, accept_provable=True)
    apart = certify_subgroups(preds, "exposure", rate, unit="all", accept_provable=True)
    plan = plan_subgroups(unit_counts(preds, masks), rate)
    plan["more, whole delta"] = plan_subgroups(unit_counts(preds, masks), rate, split=False)["more"]
    cleared = {k: f"{np.mean(preds.risk[~preds.unsafe] < o.threshold):.3f}" for k, o in
               (("over all tiles", overall), ("by exposure, whole delta", shared), ("by exposure, delta split", apart))}
    columns = ["units", "max_rate", "threshold", "own_threshold"]
    table = subgroup_frame(apart)[columns].join(subgroup_frame(shared)[["max_rate"]].rename(
        columns={"max_rate": "max_rate, whole delta"})).join(pd.Series(measured(preds, masks, overall.threshold),
                                                                       name="missed at the threshold over all"))
    lines = [f"{len(preds)} pictures of {len(set(preds.groups))} tiles, {tiles} tiles with a defect, "
             f"{apart.certificate.subgroups['groups_in_several']} tiles in several exposures.",
             f"Over all tiles: {overall.certificate.max_rate:.4g} is proven below {overall.threshold:.6g}.", "",
             "Units that each exposure lacks:", "", markdown(plan), "",
             "What each exposure proves:", "", markdown(table), "",
             "Share of safe pictures cleared: " + ", ".join(f"{k} {v}" for k, v in cleared.items()) + "."]
    print("\n".join(lines))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text("# subgroups.py\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__": main()

"""Figures by exposure on magnetic tiles: the same pieces photographed at six exposures, each judged out of fold.

    python benchmarks/conditions.py DATA_FOLDER [--recipe default] [--seed 0] [--cache benchmarks/cache]

DATA_FOLDER is magnetic_tile: class folders and a manifest.csv with `group` and `exposure`. A head on cached features
judges each piece without having seen it; a tile counts as defect when that is the more probable class. The manifest's
exposure is a condition, and so are light, sharpness and size as measured from the pixels, cut into bins at edges of the
training groups of the first fold. Prints the tables and writes them to benchmarks/results/conditions.md.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd

from riskclf.core import Predictions
from riskclf.data.splits import grouped_folds
from riskclf.evaluation.conditions import (
    bin_conditions,
    bin_edges,
    condition_gaps,
    condition_metrics,
    measure_conditions,
)
from riskclf.evaluation.intervals import format_figure
from riskclf.evaluation.slices import search_slices
from riskclf.pipeline import prepare_data

CLASSES = "free,defect=blowhole+break+crack+fray+uneven"


def predict(data, recipe, cache, seed):
    "Manifest, and predictions of all tiles by heads that have not seen their piece"
    from riskclf.training.balance import out_of_fold
    from riskclf.training.cache import FeatureCache
    from riskclf.training.features import FeatureExtractor, cached_features
    from riskclf.training.learner import build_model, recipe_steps
    p = prepare_data(data, classes=CLASSES, split=None, check_cache=cache/"checks.jsonl")
    df, steps = p.df.reset_index(drop=True), recipe_steps(recipe)
    model, image_recipe = build_model(recipe, p.scale)
    extractor, kept = FeatureExtractor(model.eval(), image_recipe), FeatureCache(cache/"features", max_bytes=60e9)
    views, augment = steps["features"].get("views", 1), steps["loaders"].get("augment", "none")
    features = cached_features(df, extractor, views, augment, kept).features
    logits = out_of_fold(model.head, df, features, p.scale, recipe, seed=seed)
    probs = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs /= probs.sum(axis=1, keepdims=True)
    return df, Predictions.make(p.scale, probs, df["label"], df["item"], df["group"])


def shown(row):
    "A row of a table as figures with their intervals"
    parts = {k: None if pd.isna(row[k]) else row[k] for k in ("value", "low", "high")}
    return format_figure(parts | ({"note": row["note"]} if row["note"] else {}))


def markdown(frame):
    "A DataFrame as a Markdown table"
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in [frame.columns, *frame.to_numpy()]]
    return "\n".join([lines[0], "|" + "---|" * frame.shape[1], *lines[1:]])


def tables(df, preds):
    "The pieces of the page"
    first, _ = grouped_folds(df, 5, seed=0)[0]
    measured = measure_conditions(df)
    conditions = bin_conditions(measured, bin_edges(measured.iloc[first])).assign(exposure=df["exposure"])
    metrics = ["miss_rate", "false_alarm_rate", "auroc"]
    table = condition_metrics(preds, conditions[["item", "exposure"]], metrics=metrics)
    counts = table[table["metric"] == "miss_rate"].set_index("subgroup")[["n", "n_groups"]]
    wide = table.assign(shown=table.apply(shown, axis=1)).pivot(index="subgroup", columns="metric", values="shown")
    wide = wide.loc[counts.index, metrics]
    wide.insert(0, "defects (pieces)", [f"{n} ({g})" for n, g in counts.to_numpy()])
    yield "By exposure, with 95% intervals over pieces", wide.rename_axis("exposure").reset_index()
    gaps = condition_gaps(preds, conditions)
    gaps = gaps[gaps["metric"].isin(["miss_rate", "equalized_odds"])]
    gaps = gaps.assign(gap=gaps.apply(lambda r: shown(dict(r, note="")), axis=1))
    yield ("Largest difference between subgroups of 8 pieces or more, over all pairs at once",
           gaps[["condition", "metric", "lowest", "highest", "gap"]])
    for metric in ("miss_rate", "false_alarm_rate"):
        found = search_slices(preds, conditions, metric=metric)
        worst = found.head(5).assign(rate=found.head(5).apply(shown, axis=1), rest=found["rest"].round(3))
        yield (f"Worst of {found.attrs['slices']} slices by {metric.replace('_', ' ')}; p corrected for the search",
               worst[["condition", "subgroup", "n", "n_groups", "rate", "rest", "p_alone", "p"]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--recipe", default="default")
    parser.add_argument("--seed", type=int, default=0, help="of folds and heads")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/cache"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/conditions.md"))
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    df, preds = predict(args.data, args.recipe, args.cache, args.seed)
    page = ["# conditions.py", f"{len(preds)} tiles, {df['group'].nunique()} pieces, {int(preds.unsafe.sum())} with a "
            f"defect; recipe `{args.recipe}`, 5 grouped folds, seed {args.seed}"]
    for title, table in tables(df, preds): page += [title, markdown(table)]
    print(text := "\n\n".join(page))
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__": main()

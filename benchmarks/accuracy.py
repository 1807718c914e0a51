"""Accuracy on real folders with repeated grouped folds, every choice made inside the training folds.

    python benchmarks/accuracy.py DATA_FOLDER [--task fire tile_defect ...] [--recipe NAME ...] [--repeats 3]

DATA_FOLDER holds fire_cair, magnetic_tile and neu_seg. A fold's test groups are seen once, at the end: standardisation,
head and bias come from the other folds. Prints a line a task and recipe, and the paired difference of each recipe to
the first one, and writes them to results/accuracy.md (all figures, with the recall of each class, to accuracy.json).
A recipe is a name, or JSON changes of the default one, as '{"flips": "h"}', or of a named one, as
'surface {"flips": ""}'.
`--folds-by item` divides pictures instead of groups: wrong on purpose, to see what such a split reads.
"""
import argparse
import json
import time
from pathlib import Path

import numpy as np

from riskclf.core import Predictions
from riskclf.data.splits import grouped_folds
from riskclf.evaluation.metrics import evaluate_predictions
from riskclf.pipeline import prepare_data

TILES = "free,blowhole,break,crack,fray,uneven"
TASKS = {
    "fire": dict(folder="fire_cair", classes="normal,fire"),
    "tile_defect": dict(folder="magnetic_tile", classes="free,defect=blowhole+break+crack+fray+uneven"),
    "tile_types": dict(folder="magnetic_tile", classes=TILES, unordered=True),
    "neu_seg": dict(folder="neu_seg", alarm_from="none"),
}


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def head_fold(head, df, scale, recipe, features, train, test, seed, inner_folds):
    "Logits of `test` by a head trained on `train`, and the bias that its own out-of-fold predictions want"
    from riskclf.training.balance import balance_bias, out_of_fold
    from riskclf.training.heads import fit_head, head_logits
    bias = np.zeros(len(scale))
    if inner_folds:
        part = df.iloc[train].reset_index(drop=True)
        inner = out_of_fold(head, part, features[train], scale, recipe, inner_folds, seed)
        real, targets = part["defect"].isna().to_numpy(), part["label"].map({n: i for i, n in enumerate(scale.names)})
        bias = balance_bias(inner[real], targets[real].to_numpy())
    return head_logits(fit_head(head, df, features, train, scale, recipe, seed), features[test]), bias


def measured(task, recipe, data, cache, folds_by="group"):
    "Scale, model, its items, the same with made defects after them, and the features of these"
    from riskclf.data.defects import add_defects
    from riskclf.training.cache import FeatureCache
    from riskclf.training.features import FeatureExtractor, cached_features
    from riskclf.training.learner import build_model, recipe_steps
    how = {k: v for k, v in TASKS[task].items() if k != "folder"}
    p = prepare_data(data/TASKS[task]["folder"], split=None, check_cache=cache/"checks.jsonl", **how)
    df, scale = p.df.reset_index(drop=True), p.scale
    df["group"] = df[folds_by].astype(str)
    model, image_recipe = build_model(recipe, scale)
    steps = recipe_steps(recipe)
    augment = steps["loaders"].get("augment", "none")
    views = 1 if augment == "none" else steps["features"].get("views", 5)
    extractor = FeatureExtractor(model.eval(), image_recipe)
    made = steps["defects"] if steps["defects"].get("defects") else dict(defects={})
    every = add_defects(df.assign(split="train", defect=None), scale, **made)  # the real items come first
    got = cached_features(every, extractor, views, augment, FeatureCache(cache/"features", max_bytes=60e9))
    return scale, model, df, every, got.features


def run(task, recipe, data, cache, repeats, inner_folds, folds_by="group", folds=5):
    "Figures of a recipe, one set a repeat, and what was said of every item out of fold"
    start = time.perf_counter()
    scale, model, df, every, features = measured(task, recipe, data, cache, folds_by)
    extract_s, rows, said, start = time.perf_counter() - start, [], {}, time.perf_counter()
    for r in range(repeats):
        raw, balanced = np.empty((len(df), len(scale))), np.empty((len(df), len(scale)))
        for k, (train, test) in enumerate(grouped_folds(df, folds, seed=r)):
            mine = np.flatnonzero(every["group"].isin(df["group"].iloc[train]))
            logits, bias = head_fold(model.head, every, scale, recipe, features, mine, test, 10*r + k, inner_folds)
            raw[test], balanced[test] = softmax(logits), softmax(logits + bias)
        for name, probs in [("as trained", raw), ("with bias", balanced)][:1 + bool(inner_folds)]:
            preds = said[name, r] = Predictions.make(scale, probs, df["label"], df["item"], df["group"])
            m = evaluate_predictions(preds)
            figures = {f: m[f] for f in ("auroc", "auroc_ovr", "balanced_accuracy", "ece")}
            rows.append(dict(repeat=r, bias=name, **figures,
                             recall={c: m["per_class"][c]["recall"]["value"] for c in scale.names}))
    groups = {c: int(df[df["label"] == c]["group"].nunique()) for c in scale.names}
    took = dict(extract_seconds=round(extract_s, 1), train_seconds=round(time.perf_counter() - start, 1))
    return dict(task=task, recipe=recipe, items=len(df), groups=groups, folds=folds, repeats=repeats,
                rows=rows, **took), said


def gains(said, first):
    "Balanced accuracy and AUROC less those of the first recipe, as trained, on the same folds: mean over the repeats"
    from riskclf.evaluation.compare import metric_statistic
    from riskclf.evaluation.intervals import difference_statistic, group_bootstrap, mean_statistic
    repeats, found = [r for name, r in said if name == "as trained"], {}
    for metric in ("auroc", "balanced_accuracy"):
        if not said["as trained", 0].scale.has_alarm: continue
        each = [difference_statistic(metric_statistic(said["as trained", r], metric),
                                     metric_statistic(first["as trained", r], metric)) for r in repeats]
        d = group_bootstrap(mean_statistic(each))  # the same draw of groups in every repeat
        found[metric] = {k: d[k] for k in ("value", "low", "high")}
    return found


def gain_line(result):
    "How much better than the first recipe, for a person"
    def told(d):
        spread = "" if d["low"] is None else f" [{d['low']:+.3f}, {d['high']:+.3f}]"
        return f"{d['value']:+.4f}{spread}"
    return (f"{result['task']}, {result['name']} less the first recipe, as trained, paired, mean over repeats: "
            + ", ".join(f"{m.replace('_', ' ')} {told(d)}" for m, d in result["gains"].items()))


def line(result, bias):
    "One line of the table"
    rows = [r for r in result["rows"] if r["bias"] == bias]
    def figure(name):
        values = [r[name]["value"] for r in rows]
        if values[0] is None: return "none"
        low, high = rows[0][name]["low"], rows[0][name]["high"]
        spread = f" [{low:.3f}, {high:.3f}]" if low is not None else ""
        return f"{np.mean(values):.4f} +- {np.std(values):.4f}{spread}"
    return (f"| {result['task']} | {result['name']} | {bias} | {figure('auroc')} | {figure('balanced_accuracy')} | "
            f"{result['extract_seconds']:.0f} + {result['train_seconds']:.0f} s |")


def main():
    from riskclf.training.learner import RECIPES
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--task", nargs="*", default=list(TASKS), choices=TASKS)
    parser.add_argument("--recipe", nargs="*", default=["default"], help="names, or JSON changes of the default one")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--inner-folds", type=int, default=5, help="for the bias; 0 leaves it out")
    parser.add_argument("--folds-by", default="group", help="column whose values no fold tears; all but group leak")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/cache"))
    parser.add_argument("--predictions", type=Path, help="folder for what was said of each item out of fold")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/accuracy.json"))
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    results, lines = [], []
    def say(text):
        lines.append(text)
        print(text, flush=True)
    say("| task | recipe | answers | AUROC, mean +- sd over repeats [95% of the first] | balanced accuracy | time |")
    say("|---|---|---|---|---|---|")
    for task in args.task:
        first = None
        for name in args.recipe:
            base, _, changes = ("default", "", name) if name.startswith("{") else name.partition(" ")
            recipe = RECIPES[base] | json.loads(changes or "{}")
            result, said = run(task, recipe, args.data, args.cache, args.repeats, args.inner_folds,
                               args.folds_by)
            results.append(result | dict(name=name, gains=gains(said, first) if first else {}))
            first = first or said
            if args.predictions:
                for (bias, r), preds in said.items():
                    folder = args.predictions/f"{task}-{len(results)}"
                    folder.mkdir(parents=True, exist_ok=True)
                    preds.frame.to_parquet(folder/f"{bias.replace(' ', '_')}-{r}.parquet")
            for bias in dict.fromkeys(r["bias"] for r in results[-1]["rows"]): say(line(results[-1], bias))
    for result in results:
        if result["gains"]: say("\n" + gain_line(result))
    say("\nGroups a class: " + "; ".join(dict.fromkeys(
        f"{r['task']} " + ", ".join(f"{c} {n}" for c, n in r["groups"].items()) for r in results)) +
        f". {args.repeats} repeats of 5 folds by {args.folds_by}.")
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(json.dumps(results, indent=1))
    args.out.with_suffix(".md").write_text("# accuracy.py\n\n" + "\n".join(lines) + "\n")


if __name__ == "__main__": main()

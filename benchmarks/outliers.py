"""Does a model notice what it was not trained on? Real folders against each other, by both distances.

    python benchmarks/outliers.py DATA_FOLDER [--size 224] [--most 400] [--share 0.02]

DATA_FOLDER holds fire_cair, magnetic_tile and neu_seg. What is known are one folder's train and valid groups, by the
features of the default recipe; its other groups are new pictures of its kind, the other folders are unlike it. Prints a
line a pair and method with 95% intervals over groups, and writes benchmarks/results/outliers.md.
"""
import argparse
from pathlib import Path

import numpy as np

from riskclf.evaluation.intervals import auroc_statistic, format_figure, group_bootstrap, rate_figure
from riskclf.evaluation.outliers import fit_outliers
from riskclf.pipeline import prepare_data

FOLDERS = {
    "fire_cair": dict(classes="normal,fire"),
    "magnetic_tile": dict(classes="free,defect=blowhole+break+crack+fray+uneven"),
    "neu_seg": dict(alarm_from="none"),
}


def features_of(folder, how, cache, size, most):
    "Features (n, D), groups, and whether the group was known in training, for at most `most` items of a folder"
    from riskclf.evaluation.outliers import fold_features
    from riskclf.packing import feature_layout
    from riskclf.training.cache import FeatureCache
    from riskclf.training.features import FeatureExtractor, cached_features
    from riskclf.training.learner import build_model
    p = prepare_data(folder, split="60,10,30,0", check_cache=cache/"checks.jsonl", **how)
    df = p.df.sample(min(most, len(p.df)), random_state=0).reset_index(drop=True)
    model, recipe = build_model("default", p.scale, size=size)
    got = cached_features(df, FeatureExtractor(model.eval(), recipe), cache=FeatureCache(cache/"features"))
    x = fold_features(got.features[:, 0], **feature_layout(model))
    return x, df["group"].to_numpy(str), df["split"].isin(["train", "valid"]).to_numpy()


def judge(data, name, other, method, share):
    "Figures of one check: new pictures of the folder it was fitted on against those of another folder"
    (x, groups, known), (odd, odd_groups, _) = data[name], data[other]
    check, new = fit_outliers(x[known], groups=groups[known], share=share, method=method), x[~known]
    both, unlike = np.vstack([new, odd]), np.repeat([False, True], [len(new), len(odd)])
    names = np.char.add(np.repeat(["a", "b"], [len(new), len(odd)]), np.concatenate([groups[~known], odd_groups]))
    return dict(model=name, given=other, method=method, known=int(known.sum()), new=len(new), odd=len(odd),
                expected=check.about["expected"],
                auroc=group_bootstrap(auroc_statistic(check.distances(both), unlike, names)),
                like=rate_figure(check.unlike(new), groups=groups[~known]),
                found=rate_figure(check.unlike(odd), groups=odd_groups))


def table(rows, args):
    "The figures in Markdown"
    command = f"python benchmarks/outliers.py DATA --size {args.size} --most {args.most} --share {args.share}"
    lines = [f"# Pictures unlike the training data\n\n`{command}`: 95% intervals over groups.\n",
             "| model of | given | method | AUROC | its own kind beyond the line | expected there | the other found |",
             "|---|---|---|---|---|---|---|"]
    for r in rows:
        auroc, like, found = (format_figure(r[k]) for k in ("auroc", "like", "found"))
        row = [r["model"], r["given"], r["method"], auroc, like, f"{r['expected']:.3f}", found]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines) + """

The features are those of the default recipe's frozen backbone. Weights, unit length and the share were chosen with
these folders in view, so the figures flatter the method a little. Tiles and steel are both grey close-ups of a surface:
they are told apart less well than either is from photographs.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--size", type=int, default=224, help="side of the model's input, in pixels")
    parser.add_argument("--most", type=int, default=400, help="items taken from each folder")
    parser.add_argument("--share", type=float, default=0.02, help="of pictures of the known kind beyond the line")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/cache"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/outliers.md"))
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    data = {n: features_of(args.data/n, how, args.cache, args.size, args.most) for n, how in FOLDERS.items()}
    pairs = [(n, o) for n in FOLDERS for o in FOLDERS if n != o]
    rows = [judge(data, *pair, method, args.share) for pair in pairs for method in ("mahalanobis", "knn")]
    text = table(rows, args)
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)


if __name__ == "__main__": main()

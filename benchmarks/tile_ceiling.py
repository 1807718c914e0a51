"""How well the kind of a tile's defect is told on new pieces by one who is shown where the defect is.

    python benchmarks/tile_ceiling.py DATA_FOLDER [--repeats 3] [--made 2]

DATA_FOLDER holds magnetic_tile with its masks. The places of the map that the recipe `surface` looks at are divided by
the mask: mean and highest value of each channel on the defect, mean less that of the rest of the tile, mean on the rim
around it, and the size, shape and place of the mask. A linear head and a random forest learn the five kinds from these,
on the folds of `accuracy.py`, with and without made defects whose place is known. Nobody who has only labels is told
that much, so their figures say what the features of this network and these groups can give at best, not what a recipe
gives. Six classes are counted as if no good tile were ever taken for a defect, and with nine in ten of them right.
Writes results/tile_ceiling.md.
"""
import argparse
from pathlib import Path

import numpy as np
from accuracy import TASKS, TILES

from riskclf.core import progress
from riskclf.data.decode import load_image
from riskclf.data.defects import DEFECTS, paste_defect
from riskclf.data.splits import grouped_folds
from riskclf.pipeline import prepare_data
from riskclf.training.features import FeatureExtractor, choose_runtime
from riskclf.training.learner import build_model

KINDS = TILES.split(",")[1:]
MADE = dict(zip(("spot", "chip", "line", "smudge", "patch"), KINDS))  # each kind of made defect and its class


def described(cells, share):
    "What the places of a map (h, w, channels + 1) say of a defect that covers `share` (h, w) of each place"
    from scipy.ndimage import binary_dilation
    values, inside = cells[..., :-1].astype(np.float32), cells[..., -1] > 0
    share = share*inside
    on = share > 0.02 if (share > 0.02).any() else share >= share.max()
    near = binary_dilation(on)
    rest, rim = inside & ~near, near & ~on & inside
    mean = np.average(values[on], axis=0, weights=share[on])
    ground = values[rest if rest.any() else inside].mean(0)
    y, x = np.nonzero(on)
    top, left = (i.min() for i in np.nonzero(inside))
    bottom, right = (i.max() for i in np.nonzero(inside))
    height, width = np.ptp(y) + 1, np.ptp(x) + 1
    edges = min(y.min() - top, bottom - y.max()), min(x.min() - left, right - x.max())
    shape = [np.log(on.sum()), np.log(share.sum()), height, width, on.sum()/(height*width), *edges,
             (bottom - top + 1)/(right - left + 1)]
    return np.r_[mean, values[on].max(0), mean - ground, values[rim].mean(0) if rim.any() else ground, shape]


def shares(mask, side):
    "Share of each place that a mask (size, size, 3) of the model's input covers"
    step = len(mask)//side
    return (mask[..., 0] > 127).reshape(side, step, side, step).mean((1, 3))


def where_in(recipe, mask):
    "A mask bool (h, w) as model input, uint8 (size, size, 3); nothing on the border that is filled up"
    white, black = (recipe.apply(np.full((*mask.shape, 3), v, np.uint8)) for v in (255, 0))
    shown = recipe.apply(np.repeat(mask[..., None], 3, 2).astype(np.uint8)*255)
    return np.where(white == black, 0, shown)


def pictures(df, root, recipe, made):
    "Model input, mask, row and kind of each real defect with a mask that is not empty, then of each made one"
    for row, (path, mask, label) in enumerate(zip(df["path"], df["mask"], df["label"])):
        if label in KINDS:
            where = where_in(recipe, load_image(root/mask)[..., 0] > 127)
            if (where > 127).any(): yield recipe.apply(load_image(path)), where, row, label, False
    for k in range(made):
        for row in np.flatnonzero(df["label"] == "free"):
            kind, good = DEFECTS[(row + k) % len(DEFECTS)], load_image(df["path"].iloc[row])
            flawed = paste_defect(good, kind, seed=int(row)*made + k)
            where = where_in(recipe, np.abs(flawed.astype(int) - good).max(-1) > 8)
            if (where > 127).any(): yield recipe.apply(flawed), where, row, MADE[kind], True


def heads():
    "Heads that learn in seconds"
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    for strength in (0.001, 0.01, 0.1):
        yield f"linear, C = {strength:g}", LogisticRegression(C=strength, max_iter=1000)
    yield "random forest", RandomForestClassifier(300, min_samples_leaf=5, random_state=0, n_jobs=1)


def recalls(head, x, y, rows, made, df, use_made, repeat):
    "Recall of each kind among the real defects, out of fold"
    from sklearn.preprocessing import StandardScaler
    said = np.empty(len(y), dtype=object)
    for train, test in grouped_folds(df, 5, seed=repeat):
        mine, theirs = np.isin(rows, train) & (use_made | ~made), np.isin(rows, test) & ~made
        scaler = StandardScaler().fit(x[mine])
        weight = np.empty(mine.sum())
        for kind in KINDS:  # real and made defects of each kind weigh alike
            for origin in (False, True):
                part = (y[mine] == kind) & (made[mine] == origin)
                weight[part] = 1/max(1, part.sum())
        head.fit(scaler.transform(x[mine]), y[mine], sample_weight=weight/weight.mean())
        said[theirs] = head.predict(scaler.transform(x[theirs]))
    return np.array([(said == kind)[(y == kind) & ~made].mean() for kind in KINDS])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--made", type=int, default=2, help="made defects on each good tile")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/tile_ceiling.md"))
    args = parser.parse_args()
    root, how = args.data/"magnetic_tile", {k: v for k, v in TASKS["tile_types"].items() if k != "folder"}
    p = prepare_data(root, split=None, **how)
    df = p.df.reset_index(drop=True)
    model, recipe = build_model(dict(base="surface", flips="", heads=1), p.scale)
    extractor = FeatureExtractor(model.eval(), recipe)
    choose_runtime(extractor, np.stack([recipe.load(path) for path in df["path"][:32]]))
    found, side = [], None
    total = (df["label"] != "free").sum() + args.made*(df["label"] == "free").sum()
    for image, mask, row, kind, was_made in progress(pictures(df, root, recipe, args.made), int(total), "defects"):
        cells = extractor(image[None])[0].reshape(-1, model.head.channels + 1)
        side = int(len(cells)**0.5)
        found.append((described(cells.reshape(side, side, -1), shares(mask, side)), row, kind, was_made))
    x, rows, y, made = (np.array(column) for column in zip(*found))
    columns = ["head", "made defects too", *KINDS, "five kinds", "six, no good tile wrong", "six, 0.9 of them right"]
    lines = ["# tile_ceiling.py", "", f"| {' | '.join(columns)} |", "|---"*len(columns) + "|"]
    for use_made in (False, True)[:1 + bool(args.made)]:
        for name, head in heads():
            each = np.stack([recalls(head, x, y, rows, made, df, use_made, r) for r in range(args.repeats)])
            mean, spread = each.mean(0), each.mean(1).std()
            six = (f"{(good + mean.sum())/6:.3f}" for good in (1, 0.9))
            lines.append("| " + " | ".join([name, "yes" if use_made else "no", *(f"{v:.2f}" for v in mean),
                                            f"{mean.mean():.3f} +- {spread:.3f}", *six]) + " |")
            print(lines[-1], flush=True)
    groups = df[df["label"] != "free"].groupby("label")["group"].nunique()
    lines += ["", f"{(~made).sum()} real and {made.sum()} made defects; groups: "
              + ", ".join(f"{k} {groups[k]}" for k in KINDS) + f". {args.repeats} repeats of 5 grouped folds."]
    args.out.write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


if __name__ == "__main__": main()

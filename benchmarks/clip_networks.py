"""Every clip network trained from chance on made clips whose class only their motion tells.

    python benchmarks/clip_networks.py [NAME ...] [--cache FOLDER] [--seconds 600]

All networks get the same clips of 8 frames of 32 x 32, each of a place of its own, the same division into train, valid
and test, and the same recipe but for learning rate and epochs. The epoch is chosen on valid; the accuracy is that on
test, with the interval over places. A run is stored after each epoch: the same command goes on where it was stopped
(--seconds stops it after the epoch in which they have passed). Writes benchmarks/results/clip_networks.md.
"""
import argparse
import json
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback
from said import say, store

from riskclf.core import RiskScale
from riskclf.data.clips import make_clips
from riskclf.evaluation.intervals import rate_figure
from riskclf.models.clips import CLIP_MODELS
from riskclf.training.clip_networks import predict_clips, train_clips
from riskclf.windows import reduce_windows

CLIPS, SHARES = 900, {"train": 0.65, "valid": 0.1, "test": 0.25}
COMMON = dict(pretrained=False, num_frames=8, size=32, augment={"flip": 0.5}, multiplier=1, batch_size=8,
              schedule="one_cycle", lr_end=None, drop_rate=0., patience=None)
NETWORKS = {
    "r3d_18": dict(lr=1e-3, epochs=4), "r3d_34": dict(lr=1e-3, epochs=3),
    "r2plus1d_18": dict(lr=1e-3, epochs=3), "mc3_18": dict(lr=1e-3, epochs=3),
    "slowfast_r18": dict(lr=1e-3, epochs=3), "slowfast_r50": dict(lr=1e-3, epochs=3),
    "inflated": dict(lr=3e-3, epochs=3, backbone="test_resnet"),
    "timesformer": dict(lr=5e-4, epochs=15, backbone="test_vit"),
}
assert set(NETWORKS) == set(CLIP_MODELS)


class Out(Callback):
    "Prints each epoch, and ends the run after the one in which the time is over"
    order = 90

    def __init__(self, network, until): self.network, self.until, self.begin = network, until, None
    def before_train(self): self.begin = time.process_time()

    def after_epoch(self):
        if self.begin is None: return  # an epoch of an earlier run
        last = self.learn.class_monitor.history[-1]
        found = {k: round(float(last[k]), 3) for k in ("train_loss", "valid_loss", "balanced_accuracy")}
        print(self.network, self.epoch + 1, found, f"{time.process_time() - self.begin:.0f} s", flush=True)
        if self.epoch + 1 < self.n_epoch and time.monotonic() > self.until: raise KeyboardInterrupt


def clips(cache, scale, seed=1):
    "The manifest; a place is in one split only, since it has one clip"
    where = cache/f"clips-{CLIPS}-{seed}"
    if not (where/"manifest.csv").exists():
        make_clips(where, CLIPS, items_per_group=1, seconds=0.8, size=32, difficulty=0., seed=seed)
    df = pd.read_csv(where/"manifest.csv")
    df = df[df["label"].isin(scale.names)].reset_index(drop=True)
    share = df["group"].map(lambda g: zlib.crc32(str(g).encode()) / 2**32).rank(pct=True)
    split = pd.cut(share, [0, *np.cumsum(list(SHARES.values()))[:-1], 1], labels=list(SHARES)).astype(str)
    return df.assign(item=df["path"], path=[str(where/p) for p in df["path"]], split=split)


def place_of(name, scale, cache):
    "Where the run with these settings is"
    settings = COMMON | NETWORKS[name]
    version = f"{zlib.crc32(json.dumps([settings, CLIPS, scale.names], sort_keys=True).encode()):08x}"
    return settings, cache/f"{name}-{version}"


def kept_row(name, scale, cache):
    "The row of a finished run, or None"
    path = place_of(name, scale, cache)[1]/"row.json"
    return json.loads(path.read_text()) if path.exists() else None


def train(name, df, scale, cache, until):
    "A row of the table; KeyboardInterrupt when the time is over"
    if (row := kept_row(name, scale, cache)): return row
    settings, folder = place_of(name, scale, cache)
    spent = folder/"seconds.json"
    folder.mkdir(parents=True, exist_ok=True)
    before = json.loads(spent.read_text()) if spent.exists() else 0.
    begin = time.process_time()
    try:
        learn, report = train_clips(df, scale, "severity", folder/"run", resume=True, device="cpu",
                                    cbs=[Out(name, until)], network=name, **settings)
    finally: spent.write_text(json.dumps(before + time.process_time() - begin))
    test = df[df["split"] == "test"]
    said = reduce_windows(predict_clips(learn.model, test, scale, learn.recipe, device="cpu"))
    accuracy = rate_figure(said.preds == said.targets, groups=said.groups)
    row = dict(network=name, parameters_m=round(sum(p.numel() for p in learn.model.parameters()) / 1e6, 1),
               lr=settings["lr"], epochs=settings["epochs"], best_epoch=report.best_epoch,
               seconds=round(json.loads(spent.read_text())), valid=round(report.best_value, 3),
               accuracy=round(accuracy["value"], 3), low=round(accuracy["low"], 3), high=round(accuracy["high"], 3))
    (folder/"row.json").write_text(json.dumps(row))
    return row


def table(rows):
    "Rows as Markdown, the interval in brackets"
    head = ["network", "parameters, M", "learning rate", "epochs", "best", "seconds", "valid", "test [95% interval]"]
    cells = [[r["network"], r["parameters_m"], r["lr"], r["epochs"], r["best_epoch"], r["seconds"], f"{r['valid']:.3f}",
              f"{r['accuracy']:.3f} [{r['low']:.3f}, {r['high']:.3f}]"] for r in rows]
    return ["| " + " | ".join(map(str, line)) + " |" for line in [head, ["---"] * len(head), *cells]]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", default=list(NETWORKS), metavar="NAME")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/cache/clip_networks"))
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/clip_networks.md"))
    args = parser.parse_args()
    torch.set_num_threads(1)
    until, scale = time.monotonic() + args.seconds, RiskScale(["stable", "terminal"])
    df, stopped = clips(args.cache, scale), None
    try:
        for name in args.networks: print(train(name, df, scale, args.cache, until), flush=True)
    except KeyboardInterrupt: stopped = f"{name} is not finished: the same command goes on"
    rows = [r for name in NETWORKS if (r := kept_row(name, scale, args.cache))]
    counts, labels = df["split"].value_counts(), " and ".join(scale.names)
    if rows:
        say(f"Made clips of 8 frames of 32 x 32, {labels}, one of each place: {counts['train']} to train on, "
            f"{counts['valid']} to choose the epoch, {counts['test']} to test. Every network begins from chance. "
            "Seconds are those of one processor on a busy machine, for training and choosing.\n")
        for line in table(rows): say(line)
        missing = [name for name in NETWORKS if name not in {r["network"] for r in rows}]
        if missing: say(f"\nNot trained yet: {', '.join(missing)}.")
        store(args.out)
    if stopped: sys.exit(stopped)


if __name__ == "__main__": main()

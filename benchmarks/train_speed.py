"""Training time of the frozen recipe: cached features against fastai's vision_learner on the same files.

    python benchmarks/train_speed.py                 # ResNet-18 and the default backbone, 224 px, 15 epochs, 3 repeats
    python benchmarks/train_speed.py --quick         # small and short: does it run? its ratios mean nothing
    python benchmarks/train_speed.py --data FOLDER --classes normal,fire    # on class folders of your own

Every measurement is a process of its own, so that peak memory is its own and nothing is warm; starting Python and
importing is not counted, everything else is: hashing, export, the check against torch, decoding, features, head,
validation. Both sides get the same weights, the same files and the same thread budget. fastai runs at its best:
decoding in worker processes beside the training, and with its own pooling (mean and maximum), which we take too. The
rate of our head is 5e-3: the 5e-4 of the recipe `safe-unsafe` is for thousands of pictures, and 15 epochs of a few
hundred leave a linear head half trained (--lr 5e-4 shows it). Rows:

    one view       no augmentation on either side
    four views     ours: the picture and four augmented views, computed once; fastai: aug_transforms, new each epoch
    on disk        ours a second time, with the features of `one view` in the cache

The table is also written to results/train_speed.md, with everything behind it in train_speed.json.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TARGETS = {"one view": 20., "four views": 6., "on disk": 100.}
NETWORKS = ("resnet18", "tf_efficientnet_lite0")


def make_data(args, folder):
    "A manifest with the splits train and valid"
    from riskclf.data.manifest import load_manifest
    from riskclf.data.splits import assign_groups, split_manifest
    from riskclf.data.synthetic import make_scenes
    if args.data is None:
        make_scenes(folder/"scenes", n=args.items, size=args.file_size, difficulty=0.2, seed=0)
        args.data = folder/"scenes"
    df, scale = load_manifest(args.data, args.classes)
    df = split_manifest(assign_groups(df), (70, 30, 0, 0), seed=0)
    df[["item", "path", "label", "group", "split"]].to_csv(folder/"data.csv", index=False)
    return df, scale


def make_weights(model_name, df, size, path):
    "ImageNet weights where a package has them; else one that has learnt on other scenes"
    import torch
    from safetensors.torch import save_file

    from riskclf.models.backbones import create_backbone
    torch.manual_seed(0)
    if model_name == "tf_efficientnet_lite0": model = create_backbone(model_name, pretrained=True).model
    else: model = learn_elsewhere(model_name, path.parent/"other-scenes")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, str(path))


def learn_elsewhere(model_name, folder, n=400, size=128, epochs=8):
    "The body of a network trained whole, for a minute, on scenes of another seed"
    import torch

    from riskclf.data.images import ImageRecipe, load_batch
    from riskclf.data.manifest import load_manifest
    from riskclf.data.synthetic import make_scenes
    from riskclf.models.backbones import create_backbone
    make_scenes(folder, n=n, size=size, difficulty=0.2, seed=1000)
    df, scale = load_manifest(folder)
    backbone = create_backbone(model_name, pretrained=False)
    recipe = ImageRecipe(size, mean=backbone.mean, std=backbone.std)
    images = torch.from_numpy(load_batch(df["path"], recipe).images)
    targets = torch.tensor([scale.index(label) for label in df["label"]])
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (recipe.mean, recipe.std))
    body = backbone.model.train()
    head = torch.nn.Linear(backbone.model.num_features, len(scale))
    params = [*body.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(params, 1e-3, weight_decay=0.01)
    for _ in range(epochs):
        for rows in torch.randperm(n).split(32):
            x = ((images[rows].permute(0, 3, 1, 2) / 255 - mean) / std)
            maps = body(x)
            maps = maps[-1] if isinstance(maps, (list, tuple)) else maps
            logits = head(maps.mean((2, 3)) if maps.ndim == 4 else maps)
            loss = torch.nn.functional.cross_entropy(logits, targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return body.eval()


def peak_mb():
    import resource
    unit = 1e6 if sys.platform == "darwin" else 1e3
    return sum(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / unit


def run_ours(job):
    import pandas as pd

    from riskclf.core import RiskScale
    from riskclf.training.cache import FeatureCache
    from riskclf.training.heads import train_features
    df, scale = pd.read_csv(job["csv"], dtype=str), RiskScale(job["names"])
    start = time.perf_counter()
    _, learn, _, features = train_features(
        df, scale, "safe-unsafe", views=job["views"], cache=FeatureCache(job["cache"]), model_name=job["network"],
        weights=job["weights"], size=job["size"], epochs=job["epochs"], pool="avg+max", lr=job["lr"],
        augment="none" if job["views"] == 1 else "safe-unsafe")
    seconds = time.perf_counter() - start
    return dict(seconds=seconds, right=_right(learn), n=len(learn.dls.valid.dataset), computed=features.computed,
                runtime=features.settings["runtime"])


def _right(learn):
    import torch
    model = learn.model.eval()
    with torch.no_grad(): return sum(int((model(x).argmax(1) == y).sum()) for x, y in learn.dls.valid)


def run_fastai(job):
    import fastai.callback.progress  # noqa: F401  adds Learner.no_bar
    import pandas as pd
    import torch
    from fastai.data.transforms import Normalize
    from fastai.metrics import accuracy
    from fastai.vision.augment import Resize, ResizeMethod, aug_transforms
    from fastai.vision.data import ImageDataLoaders
    from fastai.vision.learner import vision_learner

    from riskclf.models.backbones import create_backbone, read_weights
    torch.set_num_threads(job["threads"])
    df = pd.read_csv(job["csv"], dtype=str)
    df = df.assign(is_valid=df["split"] == "valid", path=[os.path.relpath(p, "/") for p in df["path"]])
    start = time.perf_counter()
    net = create_backbone(job["network"], pretrained=False)
    tfms = [*(aug_transforms() if job["views"] > 1 else []), Normalize.from_stats(net.mean, net.std)]
    dls = ImageDataLoaders.from_df(df, path="/", fn_col="path", label_col="label", valid_col="is_valid", bs=32,
                                   item_tfms=Resize(job["size"], ResizeMethod.Squish), batch_tfms=tfms,
                                   num_workers=job["workers"])
    learn = vision_learner(dls, job["network"], pretrained=False, metrics=accuracy, normalize=False)
    learn.model[0].model.load_state_dict(read_weights(job["weights"]), strict=False)
    learn.freeze()
    with learn.no_bar(), learn.no_logging(): learn.fit(job["epochs"])
    seconds = time.perf_counter() - start
    n = len(dls.valid_ds)
    right = round(learn.recorder.values[-1][-1] * n)
    return dict(seconds=seconds, right=right, n=n, runtime=f"torch {torch.__version__}")


def run_parts(job):
    "What the time of one view is made of: decoding alone, the backbone alone"
    import pandas as pd

    from riskclf.data.images import ImageRecipe, load_batch
    from riskclf.models.backbones import create_backbone
    from riskclf.models.image import ImageClassifier, freeze
    from riskclf.training.features import FeatureExtractor
    df = pd.read_csv(job["csv"], dtype=str)
    model = freeze(ImageClassifier(create_backbone(job["network"], weights=job["weights"]), 2)).eval()
    recipe = ImageRecipe(job["size"], mean=model.backbone.mean, std=model.backbone.std)
    extractor = FeatureExtractor(model, recipe, "openvino")
    start = time.perf_counter()
    images = load_batch(df["path"].tolist(), recipe).images
    decode = time.perf_counter() - start
    extractor(images[:8])
    start = time.perf_counter()
    extractor(images)
    return dict(decode=decode, model=time.perf_counter() - start, n=len(df))


def measure(kind, job, args):
    "Run one measurement in a fresh process"
    threads = str(args.threads)
    env = os.environ | {"RISKCLF_THREADS": threads, "OMP_NUM_THREADS": threads, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, __file__, "--worker", json.dumps(dict(job, kind=kind))], env=env,
                          capture_output=True, text=True)
    if done.returncode: raise SystemExit(f"{kind} failed on {job}:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def worker(job):
    result = {"ours": run_ours, "fastai": run_fastai, "parts": run_parts}[job["kind"]](job)
    print(json.dumps(result | {"peak_mb": peak_mb()}))


def interval(k, n):
    from riskclf.evaluation.intervals import clopper_pearson
    low, high = clopper_pearson(k, n)
    return float(low), float(high)


def earlier(network, args):
    "What fastai needed in the run that `--out` tells of, as measurements by row; it must have been the same job"
    told = json.loads(Path(args.out).read_text(encoding="utf-8"))
    if any(told[k] != getattr(args, k) for k in ("items", "size", "epochs", "threads", "workers")):
        raise SystemExit(f"{args.out} is of another job: measure fastai again, without --ours-only")
    rows = [r for r in told["rows"] if r["network"] == network and r["row"] != "on disk"]
    return {r["row"]: dict(seconds=r["fastai_s"], peak_mb=r["fastai_mb"], n=r["fastai_accuracy"]["n"],
                           right=round(r["fastai_accuracy"]["value"] * r["fastai_accuracy"]["n"])) for r in rows}


def bench(network, df, scale, args, folder):
    weights = Path(args.weights or folder/f"{network}.safetensors")
    if not args.weights: make_weights(network, df, args.size, weights)
    base = dict(csv=str(folder/"data.csv"), names=list(scale.names), network=network, weights=str(weights),
                size=args.size, epochs=args.epochs, threads=args.threads, workers=args.workers, lr=args.lr)
    runs, known = {}, earlier(network, args) if args.ours_only else {}
    for repeat in range(args.repeats):
        for views, row in ((1, "one view"), (5, "four views")):
            if row not in args.rows: continue
            cache = str(folder/f"cache-{network}-{views}-{repeat}")
            steps = [("fastai", row, "fastai"), ("ours", row, "ours")]
            if views == 1: steps.append(("ours", "on disk", "ours"))
            for kind, where, who in steps:
                found = known.get(row) if kind == "fastai" else None
                found = found or measure(kind, dict(base, views=views, cache=cache), args)
                runs.setdefault((where, who), []).append(found)
                note = f"  {network} {where} {who} {repeat+1}/{args.repeats}: {found['seconds']:.1f} s"
                print(note, file=sys.stderr, flush=True)
    if "one view" in args.rows: runs["on disk", "fastai"] = runs["one view", "fastai"]
    return runs, measure("parts", base, args)


def summarise(network, runs, parts, args):
    "One row a comparison"
    rows = []
    for where, target in TARGETS.items():
        if (where, "ours") not in runs: continue
        pair = {who: runs[where, who] for who in ("fastai", "ours")}
        seconds = {who: statistics.median(r["seconds"] for r in found) for who, found in pair.items()}
        ratios = sorted(a["seconds"] / b["seconds"] for a, b in zip(pair["fastai"], pair["ours"]))
        row = dict(network=network, row=where, fastai_s=seconds["fastai"], ours_s=seconds["ours"], target=target,
                   ratio=seconds["fastai"] / seconds["ours"], ratio_low=ratios[0], ratio_high=ratios[-1])
        for who, found in pair.items():
            k, n = found[0]["right"], found[0]["n"]
            row[f"{who}_mb"] = statistics.median(r["peak_mb"] for r in found)
            row[f"{who}_accuracy"] = dict(value=k / n, low=interval(k, n)[0], high=interval(k, n)[1], n=n)
        ours, theirs = row["ours_accuracy"], row["fastai_accuracy"]
        row["same_accuracy"] = ours["high"] >= theirs["value"]
        row["met"] = bool(row["ratio"] >= target and row["same_accuracy"])
        rows.append(row)
    if rows[0]["row"] != "one view": return rows, None
    rest = max(rows[0]["ours_s"] - parts["decode"] - parts["model"], 0.)
    return rows, dict(network=network, decode_s=parts["decode"], model_s=parts["model"], rest_s=rest,
                      bound="decode" if parts["decode"] > parts["model"] else "FLOPs of the backbone")


def accuracy_text(a):
    return f"{a['value']:.3f} [{a['low']:.3f}, {a['high']:.3f}]"


def show(rows, bounds, args):
    "Lines of the table"
    yield (f"{args.items} files, {args.size} px, {args.epochs} epochs, {args.threads} threads, "
           f"medians of {args.repeats}"
           + (", fastai as measured in an earlier run on this machine" if args.ours_only else "") + "\n")
    yield "| network | row | fastai s | ours s | times faster | wanted | fastai accuracy | our accuracy | peak MB |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for r in rows:
        met = "" if args.quick else " met" if r["met"] else " MISSED"
        yield (f"| {r['network']} | {r['row']} | {r['fastai_s']:.1f} | {r['ours_s']:.1f} | {r['ratio']:.1f} "
               f"({r['ratio_low']:.1f} to {r['ratio_high']:.1f}) | {r['target']:.0f}{met} | "
               f"{accuracy_text(r['fastai_accuracy'])} | {accuracy_text(r['ours_accuracy'])} | "
               f"{r['fastai_mb']:.0f}, ours {r['ours_mb']:.0f} |")
    for b in bounds:
        yield (f"\n{b['network']}: one view is {b['decode_s']:.1f} s decoding + {b['model_s']:.1f} s backbone + "
               f"{b['rest_s']:.1f} s export, check against torch, head; bound by {b['bound']}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="class folders; made scenes by default")
    parser.add_argument("--classes", help="names from least to most severe, for --data")
    parser.add_argument("--items", type=int, default=600, help="number of made scenes")
    parser.add_argument("--file-size", type=int, default=512, help="side of the made scenes in pixels")
    parser.add_argument("--size", type=int, default=224, help="side the network sees, in pixels")
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--lr", type=float, default=5e-3, help="learning rate of our head")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2, help="thread budget of both sides")
    parser.add_argument("--workers", type=int, default=2, help="decoding processes of fastai")
    parser.add_argument("--network", choices=NETWORKS, action="append", help="one or both by default")
    parser.add_argument("--rows", nargs="+", choices=("one view", "four views"), default=["one view", "four views"])
    parser.add_argument("--weights", help="weights of the one --network, .safetensors or .pth")
    parser.add_argument("--ours-only", action="store_true", help="take fastai's side from the run that --out tells of")
    parser.add_argument("--quick", action="store_true", help="small and short")
    parser.add_argument("--out", default=str(Path(__file__).parent/"results"/"train_speed.json"))
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker: return worker(json.loads(args.worker))
    if args.quick: args.items, args.size, args.epochs, args.repeats = 60, 64, 3, 1
    networks = args.network or list(NETWORKS)
    if args.weights and len(networks) != 1: parser.error("--weights needs one --network")
    with tempfile.TemporaryDirectory() as folder:
        df, scale = make_data(args, Path(folder))
        args.items, rows, bounds = len(df), [], []
        for network in networks:
            runs, parts = bench(network, df, scale, args, Path(folder))
            more, bound = summarise(network, runs, parts, args)
            rows, bounds = rows + more, bounds + ([bound] if bound else [])
    lines = list(show(rows, bounds, args))
    print("\n".join(lines))
    if args.quick: return None
    from riskclf.core import write_json
    Path(args.out).with_suffix(".md").write_text("# train_speed.py\n\n" + "\n".join(lines) + "\n")
    facts = {k: getattr(args, k) for k in ("items", "size", "epochs", "repeats", "threads", "workers")}
    write_json(args.out, dict(facts, rows=rows, bounds=bounds))
    return 0 if all(r["met"] for r in rows) else 1


if __name__ == "__main__": sys.exit(main())

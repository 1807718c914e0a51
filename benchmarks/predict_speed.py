"""1080p JPEG files to decisions: riskclf beside torch eager with Pillow and torchvision

    python benchmarks/predict_speed.py [--quick] [--models tf_efficientnet_lite0 resnet18] [--int8] [--no-memory]
                                       [--trained RUN/bundle ...] [--no-speed] [--cost RUN/bundle DATA] [--out FILE]

Both see the same files in the same process, in turns; a ratio is taken within each turn, and the median over the
turns is printed with the smallest and the largest. `d` is the time of one file through the decoder alone and `m` that
of one image through the graph alone, in calls of as many images as the row says and in the fastest of three
arrangements, each with all cores at work: nothing can be faster than d + m, so torch's time over d + m is the most
that `times faster` can be (`at most`). `cpu` is the same comparison in processor time, which does not suffer from
other programs: what the decoder and the graph alone spend on an item, as a share of what a decision costs. `--int8`
adds a table of the same network with all layers in 8 bits, beside the same torch eager in float32. `--trained`
measures bundles as `riskclf train` left them, with `--int8` or without it (there some layers may have stayed in
float32), beside their own weights in torch eager. `--cost` adds a table of what int8 costs on real data: a bundle
that `riskclf train` made is exported as `riskclf export --int8` does it, and both decide about everything outside
training. Peak memory is that of a fresh process that streams decisions to disk.
What is printed is also written to results/predict_speed.md.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import skimage.data
import timm
import torch
from PIL import Image
from said import say, store
from torchvision import transforms

from riskclf.commands import labelled_data
from riskclf.core import RiskScale, threads
from riskclf.data.images import ImageRecipe
from riskclf.deployment import bundle as bundles
from riskclf.deployment.export import quantise, with_graph
from riskclf.deployment.runtime import predict_frame
from riskclf.evaluation.compare import metric_statistic, paired_difference
from riskclf.evaluation.intervals import format_figure, group_bootstrap
from riskclf.evaluation.verify import verify
from riskclf.exporting import export, find_items
from riskclf.models.backbones import create_backbone
from riskclf.models.image import ImageClassifier, export_graph, load_model

SIZE = 224


def make_files(folder, n, seed=0):
    "1080p JPEGs of about 0.3 MB: crops of photographs that scikit-image ships, with sensor noise"
    rng = np.random.default_rng(seed)
    photos = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.cat(), skimage.data.rocket()]
    files = []
    for i in range(n):
        photo = photos[i % len(photos)]
        h, w = photo.shape[0] * 3 // 4, photo.shape[1] * 3 // 4
        top, left = rng.integers(0, photo.shape[0] - h), rng.integers(0, photo.shape[1] - w)
        big = Image.fromarray(photo[top:top+h, left:left+w]).resize((1920, 1080), Image.BICUBIC)
        noisy = np.asarray(big).astype(np.int16) + rng.integers(-6, 7, (1080, 1920, 1))
        files.append(folder / f"{i:04d}.jpg")
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(files[-1], quality=85)
    return files


def make_bundle(model_name, folder):
    "A bundle of an untrained classifier: weights do not change the speed"
    torch.manual_seed(0)
    backbone = create_backbone(model_name, pretrained=False)
    recipe = ImageRecipe(SIZE, mean=backbone.mean, std=backbone.std)
    model = ImageClassifier(backbone, 2).eval()
    graph = export_graph(model, recipe, folder / f"{model_name}.onnx")
    bundles.write_bundle(folder / model_name, RiskScale(["safe", "unsafe"]), recipe, graph)
    return bundles.load(folder / model_name)


def make_int8(bundle, files, folder):
    "The same bundle in 8 bits; the steps are chosen on some of the files"
    xml = bundle.path / bundle.document["runtime"]["graphs"]["openvino"]
    out = folder / f"{bundle.path.name}-int8"
    with_graph(bundle.path, out, quantise(xml, files[:32], bundle.recipe.load, folder / "int8.xml"))
    return bundles.load(out)


class Peer:
    "What most people would write: Pillow, torchvision transforms, timm, torch eager"

    def __init__(self, model, recipe):
        self.model = model.eval()
        self.prepare = transforms.Compose([
            transforms.Resize((recipe.size, recipe.size)), transforms.ToTensor(),
            transforms.Normalize(recipe.mean, recipe.std)])

    def predict(self, files, batch_size):
        decisions = []
        with torch.inference_mode():
            for i in range(0, len(files), batch_size):
                images = [self.prepare(Image.open(f).convert("RGB")) for f in files[i:i + batch_size]]
                probs = self.model(torch.stack(images)).softmax(1).numpy()
                decisions += ["alarm" if p[1] >= 0.5 else "clear" for p in probs]
        return decisions


def seconds(job):
    "Time of one call: by the clock, and of all processors"
    start, cpu = time.perf_counter(), time.process_time()
    job()
    return np.array([time.perf_counter() - start, time.process_time() - cpu])


def decode_alone(runner, files):
    "Seconds a file, decoder and resizing on all cores"
    with ThreadPoolExecutor(runner.num_threads) as pool:
        return seconds(lambda: list(pool.map(runner.recipe.load, map(str, files)))) / len(files)


def model_alone(runner, images, batch_size):
    "Seconds an image, the graph on all cores in calls of `batch_size`, in the best of three arrangements"
    parts = np.array_split(images, max(1, len(images) // batch_size))
    n = runner.num_threads
    def share(k): return [runner.workers[k](p) for p in parts[k::n]]
    with ThreadPoolExecutor(n) as pool:
        ways = (lambda: [runner.graph(p) for p in parts], lambda: [runner.whole(p) for p in parts],
                lambda: list(pool.map(share, range(n))))
        times = [seconds(way) / len(images) for way in ways]
    return min(times, key=lambda t: t[0])


def measure(bundle, peer, files, batch_sizes, repeats):
    "Rows of one model, from turns that alternate"
    runner = bundle.runner
    images = np.stack([runner.recipe.load(f) for f in files])
    turns = []
    for turn in range(repeats + 1):  # the first one warms up
        row = {"d": decode_alone(runner, files)}
        for b in batch_sizes:
            row["m", b] = model_alone(runner, images, b)
            row["ours", b] = seconds(lambda b=b: list(bundle.predict(files, batch_size=b, threshold=0.5))) / len(files)
            row["peer", b] = seconds(lambda b=b: peer.predict(files, b)) / len(files)
        row["one"] = np.median([seconds(lambda f=f: list(bundle.predict(f, threshold=0.5))) for f in files[:8]], axis=0)
        if turn: turns.append(row)
    return turns


def spread(values, form="{:.2f}"):
    "Median with smallest and largest"
    return f"{form} ({form} to {form})".format(statistics.median(values), min(values), max(values))


def report(model_name, turns, batch_sizes):
    "Print a model's table"
    def typical(key): return 1e3 * statistics.median(t[key][0] for t in turns)
    d, m = typical("d"), typical(("m", max(batch_sizes)))
    say(f"\n{model_name}: d {d:.2f} ms, {'decode' if d > m else 'FLOP'}-bound ({max(d, m)/(d + m):.0%} of the work), "
        f"one file alone {typical('one'):.1f} ms\n")
    say("| batch | m ms | ours ms | torch ms | times faster | at most | share of 1/(d+m) | cpu |")
    say("|---|---|---|---|---|---|---|---|")
    for b in batch_sizes:
        ours, theirs = (1e3 * statistics.median(t[k, b][0] for t in turns) for k in ("ours", "peer"))
        faster = spread([t["peer", b][0] / t["ours", b][0] for t in turns])
        limit = statistics.median(t["peer", b][0] / (t["d"] + t["m", b])[0] for t in turns)
        share, cpu = (spread([((t["d"] + t["m", b]) / t["ours", b])[i] for t in turns]) for i in (0, 1))
        say(f"| {b} | {typical(('m', b)):.2f} | {ours:.2f} | {theirs:.2f} | {faster} | {limit:.2f} | {share} | {cpu} |")


MEMORY_SCRIPT = """
import resource, sys
from pathlib import Path
from riskclf.deployment import bundle, runtime
counts = runtime.score_files(bundle.load(sys.argv[1]), sys.argv[2], sys.argv[3], threshold=0.5)
status = Path("/proc/self/status")  # ru_maxrss would start from the size of the parent that forked this process
lines = status.read_text().splitlines() if status.exists() else []
peak = next((int(s.split()[1]) for s in lines if s.startswith("VmHWM")), None)
if peak is None: peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(counts["items"], peak)
"""


def peak_memory(bundle_path, files, folder, n, suffix):
    "Peak resident memory in MB of a process that decides about n files and writes as it goes"
    many = folder / f"files-{n}"
    if not many.exists():
        many.mkdir()
        for i in range(n): os.link(files[i % len(files)], many / f"{i:06d}.jpg")
    out = folder / f"out-{n}{suffix}"
    done = subprocess.run([sys.executable, "-c", MEMORY_SCRIPT, bundle_path, many, out], capture_output=True, text=True)
    if done.returncode: raise RuntimeError(done.stderr[-2000:])
    items, peak = map(int, done.stdout.split())
    assert items == n
    return peak / 1024


def memory(bundle_path, files, folder, sizes):
    "Print the memory table"
    say(f"\n| decisions to | {' | '.join(f'peak MB at {n:,}' for n in sizes)} | growth |\n|---|---|---|---|", "Memory")
    for suffix in (".jsonl", ".parquet"):
        peaks = [peak_memory(bundle_path, files, folder, n, suffix) for n in sizes]
        say(f"| {suffix} | {' | '.join(f'{p:.0f}' for p in peaks)} | {peaks[1]/peaks[0] - 1:+.1%} |", "Memory")


def cost(bundle_path, data, folder):
    "Print what int8 costs: the parent and its export on everything outside training"
    result = export(bundle_path, to="openvino", int8=True, data=data, out=folder / "export", max_changed=1.0)
    parent, child = bundles.load(bundle_path), bundles.load(folder / "export")
    items = find_items(parent, labelled_data(parent, data))
    items = items[items["split"] != "train"]
    before, after = (predict_frame(b, items) for b in (parent, child))
    actions = [b.policy.decide(p.risk)[0] for b, p in ((parent, before), (child, after))]
    record, kept = result.data["record"], len(result.data["int8"]["kept"])
    checked, proof = verify(folder / "export"), child.policy.certificate.made_by["precision"]
    say(f"\nint8 on {Path(data).name}: {len(items)} items outside training, {record['items']} of them for calibration; "
        f"{kept} layers left in float32; certificate in {proof}, {'verified' if checked.ok else 'NOT VERIFIED'}\n")
    say("| figure | float32 | int8 | int8 less float32 |\n|---|---|---|---|")
    for metric in ("auroc", "auprc", "balanced_accuracy"):
        alone = [format_figure(group_bootstrap(metric_statistic(p, metric), seed=0)) for p in (before, after)]
        say(f"| {metric} | {alone[0]} | {alone[1]} | {format_figure(paired_difference(after, before, metric))} |")
    say(f"| decided otherwise, calibration items | | | {record['changed']} of {record['items']} |")
    say(f"| decided otherwise, all these items | | | {(actions[0] != actions[1]).sum()} of {len(items)} |")
    for b in record["bounds"]:
        say(f"| threshold of the {b['kind'].replace('_', ' ')} | {b['parent']:.4f} | {b['shipped']:.4f} "
            f"(proven up to {b['proven']:.4f}) | |")
    paths = items["path"].tolist()
    pair = {}
    for turn in range(4):  # the first one warms up
        for name, b in (("float32", parent), ("int8", child)):
            took = seconds(lambda b=b: list(b.predict(paths)))[0] / len(paths)
            if turn: pair.setdefault(name, []).append(1e3 * took)
    ms = {k: statistics.median(v) for k, v in pair.items()}
    times = ms["float32"] / ms["int8"]
    say(f"| ms a decision, all threads | {ms['float32']:.2f} | {ms['int8']:.2f} | {times:.2f} times faster |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer files and turns, for a first look")
    parser.add_argument("--models", nargs="+", default=["tf_efficientnet_lite0", "resnet18"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 32])
    parser.add_argument("--int8", action="store_true", help="each network in 8 bits too (needs nncf)")
    parser.add_argument("--cost", nargs=2, metavar=("BUNDLE", "DATA"), help="what int8 costs on real data")
    parser.add_argument("--trained", nargs="+", default=[], metavar="BUNDLE", help="as `riskclf train` left them")
    parser.add_argument("--no-speed", action="store_true", help="memory only")
    parser.add_argument("--no-memory", action="store_true", help="leave out the runs over 1,000 and 10,000 files")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "predict_speed.md")
    args = parser.parse_args()
    num_files, repeats, sizes = (16, 3, (200, 1000)) if args.quick else (64, 5, (1000, 10000))
    with tempfile.TemporaryDirectory() as d:
        folder = Path(d)
        (folder / "jpeg").mkdir()
        files = make_files(folder / "jpeg", num_files)
        mean = statistics.mean(f.stat().st_size for f in files) / 1e3
        if not args.no_speed:
            say(f"{len(files)} files of 1920 x 1080, {mean:.0f} kB on average; {threads()} threads for either side; "
                f"torch {torch.__version__}, {repeats} turns")
        for name in [] if args.no_speed else args.models:
            bundle = make_bundle(name, folder)
            peer = Peer(timm.create_model(name, num_classes=2), bundle.recipe)
            report(name, measure(bundle, peer, files, args.batch_sizes, repeats), args.batch_sizes)
            if not args.int8: continue
            rough = make_int8(bundle, files, folder)
            report(f"{name} in int8", measure(rough, peer, files, args.batch_sizes, repeats), args.batch_sizes)
        for path in args.trained:
            bundle = bundles.load(path)
            peer = Peer(load_model(Path(path) / "weights.safetensors"), bundle.recipe)
            what = bundle.document["runtime"]["precision"].replace("fp32", "float32")
            kept = len(bundle.document["provenance"].get("int8", {}).get("kept", []))
            name = f"{peer.model.backbone.model_name} at {bundle.recipe.size} px, trained in {what}"
            if what == "int8": name += f" ({kept} layers in float32)"
            report(name, measure(bundle, peer, files, args.batch_sizes, repeats), args.batch_sizes)
        if args.cost: cost(*args.cost, folder)
        if args.no_speed: make_bundle(args.models[0], folder)
        if not args.no_memory: memory(folder / args.models[0], files, folder, sizes)
    if args.quick: return
    store(args.out)


if __name__ == "__main__":
    main()

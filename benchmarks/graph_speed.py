"""Images a second and processor time an image of graphs, for each runtime, number of threads and streams

    python benchmarks/graph_speed.py GRAPH... [--size 224] [--seconds 3]
    python benchmarks/graph_speed.py --recipes default surface safe-unsafe [--calls 1 2 4 8 16]

The second form exports the network of each recipe untrained, which does not change its speed, and says what calls of
several pictures cost on one thread: processor time a picture, the median of five turns in which all calls take their
turn, and the peak memory of a fresh process that makes such calls only. It writes results/graph_speed.md.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository beside this script
from said import say, store

from riskclf.core import InputError, RiskScale, threads
from riskclf.models.graph import Graph, call_size, installed_runtimes


def pictures(n, size): return np.random.default_rng(0).integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def measure(graph, images, seconds):
    "Best images a second, least processor milliseconds an image"
    graph(images)
    end, wall, cpu = time.perf_counter() + seconds, float("inf"), float("inf")
    while time.perf_counter() < end:
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        graph(images)
        wall, cpu = min(wall, time.perf_counter() - wall_start), min(cpu, time.process_time() - cpu_start)
    return len(images) / wall, 1000 * cpu / len(images)


def compare(paths, size, seconds):
    "A line for each graph, runtime and arrangement"
    most, images = threads(), {b: pictures(b, size) for b in (1, 32)}
    print(f"{'graph':28} {'runtime':12} threads streams   batch 1              batch 32")
    for path in paths:
        for runtime in installed_runtimes():
            for num_threads, streams in sorted({(1, 1), (most, 1), (most, most)}):
                try: graph = Graph(path, runtime, num_threads, streams=streams)
                except InputError as e:
                    print(f"{Path(path).name:28} {runtime:12} {e}")
                    break
                speeds = [measure(graph, images[b], seconds) for b in (1, 32)]
                text = "   ".join(f"{rate:6.1f}/s {cpu:6.2f} ms" for rate, cpu in speeds)
                print(f"{Path(path).name:28} {runtime:12} {num_threads:7} {streams:7}   {text}", flush=True)


def make_graph(name, folder):
    "The graph of a recipe, untrained, and the size of its pictures"
    from riskclf.models.image import export_graph
    from riskclf.training.learner import RECIPES, build_model
    model, recipe = build_model(RECIPES[name] | dict(pretrained=False), RiskScale(["safe", "unsafe"]))
    return export_graph(model.eval(), recipe, folder/f"{name}.xml"), recipe.size


def picture_times(path, size, calls, seconds, turns=5):
    "Processor milliseconds a picture for each size of a call"
    graph, found = Graph(path, num_threads=1), {k: [] for k in calls}
    for _ in range(turns):
        for k in calls:
            images, n = pictures(k, size), 0
            graph(images)
            start = time.process_time()
            while time.process_time() - start < seconds:
                graph(images)
                n += k
            found[k].append(1e3 * (time.process_time() - start) / n)
    return {k: statistics.median(v) for k, v in found.items()}


def peak(path, size, k):
    "Most memory of this process after calls of k pictures, in MB"
    graph, images = Graph(path, num_threads=1), pictures(k, size)
    for _ in range(3): graph(images)
    status = Path("/proc/self/status")  # where there is none, a figure that counts the process that started this one
    if not status.is_file(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return int(status.read_text().split("VmHWM:")[1].split()[0]) / 1024


def peaks(path, size, calls):
    "The same, each in a fresh process"
    def ask(k): return subprocess.check_output([sys.executable, __file__, "--peak", str(path), str(size), str(k)])
    return {k: json.loads(ask(k)) for k in calls}


def call_table(names, calls, seconds):
    "What calls of several pictures cost"
    say("Processor milliseconds a picture and peak megabytes of a process, one thread, OpenVINO, by pictures in a call")
    say("\n| recipe | pixels | " + " | ".join(map(str, calls)) + " | riskclf takes |")
    say("|---|---|" + "---|"*(len(calls) + 1))
    for name in names:
        with tempfile.TemporaryDirectory() as folder:
            path, size = make_graph(name, Path(folder))
            took, most = picture_times(path, size, calls, seconds), peaks(path, size, calls)
            cells = " | ".join(f"{took[k]:.1f} ms, {most[k]:.0f} MB" for k in calls)
            say(f"| `{name}` | {size} | {cells} | {call_size(size)} |")
    store(Path(__file__).parent/"results"/"graph_speed.md")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("graphs", nargs="*", help=".onnx or .xml files")
    parser.add_argument("--recipes", nargs="*", default=[], help="names of recipes for pictures")
    parser.add_argument("--calls", nargs="*", type=int, default=[1, 2, 4, 8, 16], help="pictures in a call")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--seconds", type=float, default=1., help="time for each measurement")
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak: return print(peak(args.peak[0], *map(int, args.peak[1:])))
    if args.recipes: call_table(args.recipes, args.calls, args.seconds)
    if args.graphs: compare(args.graphs, args.size, args.seconds)


if __name__ == "__main__": main()

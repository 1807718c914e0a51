"Images a second and processor time an image of graphs, for each runtime, number of threads and streams"

import argparse
import sys
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository beside this script
from riskclf.core import InputError, threads
from riskclf.models.graph import Graph, installed_runtimes


def measure(graph, images, seconds):
    "Best images a second, least processor milliseconds an image"
    graph(images)
    end, wall, cpu = time.perf_counter() + seconds, float("inf"), float("inf")
    while time.perf_counter() < end:
        wall_start, cpu_start = time.perf_counter(), time.process_time()
        graph(images)
        wall, cpu = min(wall, time.perf_counter() - wall_start), min(cpu, time.process_time() - cpu_start)
    return len(images) / wall, 1000 * cpu / len(images)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("graphs", nargs="+", help=".onnx or .xml files")
    parser.add_argument("--size", type=int, default=224, help="side of the images in pixels")
    parser.add_argument("--seconds", type=float, default=3., help="time for each measurement")
    args = parser.parse_args()
    rng, most = np.random.default_rng(0), threads()
    images = {b: rng.integers(0, 256, (b, args.size, args.size, 3), dtype=np.uint8) for b in (1, 32)}
    print(f"{'graph':28} {'runtime':12} threads streams   batch 1              batch 32")
    for path in args.graphs:
        for runtime in installed_runtimes():
            for num_threads, streams in sorted({(1, 1), (most, 1), (most, most)}):
                try: graph = Graph(path, runtime, num_threads, streams=streams)
                except InputError as e:
                    print(f"{Path(path).name:28} {runtime:12} {e}")
                    break
                speeds = [measure(graph, images[b], args.seconds) for b in (1, 32)]
                text = "   ".join(f"{rate:6.1f}/s {cpu:6.2f} ms" for rate, cpu in speeds)
                print(f"{Path(path).name:28} {runtime:12} {num_threads:7} {streams:7}   {text}", flush=True)


if __name__ == "__main__": main()

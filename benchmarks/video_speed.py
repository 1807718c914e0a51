"""Recordings to answers for every window: decoder alone, encoder alone, both together, beside a loop in torch eager

    python benchmarks/video_speed.py [--quick] [--no-memory | --no-speed] [--out FILE]

`d` is the time of one picture (10 a second) through the decoder alone, `e` that of one through the frame encoder
alone, each with all cores at work: no arrangement can be faster than d + e. `share` is (d + e) over the time that
the runner takes from files to answers, head included, by the clock (`clock`) and in processor time (`cpu`), which
does not suffer from other programs. `overlap` is the time with windows that overlap by 75% over that without
overlap. `loop` is what most people would write: seek to each window, decode it, run the network in torch eager; its
time is taken on the same windows. All are measured in turns in one process; the median over the turns is printed
with the smallest and the largest. Peak memory is that of fresh processes that answer for recordings of 1, 10 and 60
minutes. What is printed is also written to results/video_speed.md; where only one part is measured, the other one
stays as it was. `squares` is what the stream 'actors' takes besides decoder and encoder, on one processor, beside
what the encoder takes for one picture of it.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import av
import numpy as np
import skimage.data
import torch
from PIL import Image
from said import say, store
from torchvision import transforms

from riskclf.core import threads
from riskclf.data.clips import make_recording, write_video
from riskclf.data.sequences import VideoRecipe, stream_images
from riskclf.data.video import VIDEO_SUFFIXES, ClipRecipe, iter_frames
from riskclf.deployment.engine import find_sources
from riskclf.deployment.runner import VideoRunner
from riskclf.models.backbones import create_backbone
from riskclf.models.graph import call_size
from riskclf.models.image import ImageClassifier
from riskclf.models.temporal import create_sequence_model
from riskclf.models.video import VideoClassifier, export_video_graphs

SIZE = 224
tell = partial(say, part="Speed")


def film(n, seed):
    "640 x 360 pictures of a camera that pans over a photograph, with sensor noise, uint8, one by one"
    rng = np.random.default_rng(seed)
    photo = [skimage.data.astronaut(), skimage.data.coffee(), skimage.data.cat()][seed % 3]
    big = np.asarray(Image.fromarray(photo).resize((1280, 720), Image.BICUBIC))
    for k in range(n):
        top, left = (round(180 + 170 * np.sin(k / s)) for s in (90, 130))
        noise = rng.integers(-4, 5, (360, 640, 1), dtype=np.int16)
        yield np.clip(big[top:top+360, left:left+640] + noise, 0, 255).astype(np.uint8)


def make_files(folder, n, seconds):
    "Recordings as a surveillance camera writes them: 25 pictures a second, H.264 where the encoder is there"
    codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
    return [write_video(folder/f"{i}.mp4", film(25 * seconds, i), 25, codec, keyframes=50, bit_rate=1_500_000)
            for i in range(n)]


def make_model(folder, model_name, size, streams):
    "An untrained hybrid on frame features: weights do not change the speed"
    torch.manual_seed(0)
    backbone = create_backbone(model_name, pretrained=False)
    encoder = ImageClassifier(backbone, 2)
    recipe = VideoRecipe(ClipRecipe(size=size, hop=0.25, mean=backbone.mean, std=backbone.std), streams)
    d = encoder.num_features
    head = create_sequence_model("recurrent_hybrid", d * len(streams), 2, streams=[d] * len(streams))
    model = VideoClassifier(encoder, head, recipe).eval()
    export_video_graphs(model, folder)
    return model


def runner_of(folder, size, streams, hop):
    return VideoRunner(VideoRecipe(ClipRecipe(size=size, hop=hop), streams), folder/"model.xml", folder/"encoder.xml")


def answer(runner, files):
    "Number of windows answered for"
    sources = find_sources(files, VIDEO_SUFFIXES)
    return sum(len(r.outputs["probs"]) for batch in runner.stream(sources) for r in batch)


def seconds(job):
    "Time of one call: by the clock, and of all processors"
    start, cpu = time.perf_counter(), time.process_time()
    job()
    return np.array([time.perf_counter() - start, time.process_time() - cpu])


def decode_alone(files, num_threads, fps=10.):
    "Seconds of all files through the decoder on all cores"
    def read(file):
        for _ in iter_frames(file, fps, size=SIZE): pass
    with ThreadPoolExecutor(num_threads) as pool: return seconds(lambda: list(pool.map(read, files)))


def encode_alone(runner, images):
    "Seconds of these pictures through the encoder on all cores, in calls of as many as are fastest"
    parts = np.array_split(images, max(1, len(images) // call_size(SIZE)))
    with ThreadPoolExecutor(runner.num_threads) as pool:
        return seconds(lambda: list(pool.map(runner.encoder.engine.run, parts)))


class Loop:
    "What most people would write: for each window seek, decode, resize, and run torch eager"

    def __init__(self, model):
        self.model, self.recipe = model, model.recipe
        self.prepare = transforms.Compose([transforms.ToPILImage(), transforms.Resize((SIZE, SIZE))])

    def read(self, file, start_s):
        "The pictures of one window at the pace of the recipe"
        clip, images = self.recipe.clip, []
        with av.open(str(file)) as container:
            stream = container.streams.video[0]
            container.seek(int(start_s / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                while len(images) < clip.num_frames and frame.time >= start_s + len(images) / clip.fps - 1e-3:
                    images.append(np.asarray(self.prepare(frame.to_ndarray(format="rgb24"))))
                if len(images) == clip.num_frames: break
        return np.stack(images + images[-1:] * (clip.num_frames - len(images)))

    def answer(self, file, windows):
        for start, _ in windows: self.model.answer(self.read(file, start)[None])


def measure(folder, files, streams, repeats, loop_windows):
    "Rows of figures, from turns that alternate"
    dense, apart = (runner_of(folder, SIZE, streams, hop) for hop in (0.25, 1.))
    pictures = [image for _, image in iter_frames(files[0], 10, size=SIZE, end_s=12.8)]
    images = np.concatenate([x for _, x in stream_images(enumerate(pictures), streams)])
    total = sum(1 for f in files for _ in iter_frames(f, 1, size=16)) * 10
    model = make_model(folder/"loop", "tf_efficientnet_lite0", SIZE, streams)
    loop, windows = Loop(model), model.recipe.clip.windows(15.)[:loop_windows]
    turns = []
    for turn in range(repeats + 1):  # the first one warms up
        row = dict(d=decode_alone(files, dense.num_threads) / total,
                   e=encode_alone(dense, images) / len(pictures))
        for name, runner in (("apart", apart), ("dense", dense)):
            count = []
            row[name] = seconds(lambda r=runner, c=count: c.append(answer(r, files))) / total
            row["windows", name] = count[0]
        row["loop"] = seconds(lambda: loop.answer(files[0], windows)) / len(windows)
        row["ours"] = row["dense"] * total / row["windows", "dense"]
        if turn: turns.append(row)
    return turns


def spread(values, form="{:.2f}"):
    "Median with smallest and largest"
    return f"{form} ({form} to {form})".format(statistics.median(values), min(values), max(values))


def report(streams, turns):
    "Print the table of one set of streams"
    def rate(key): return spread([1 / t[key][0] for t in turns], "{:.0f}")
    def ratio(of): return [spread([of(t)[i] for t in turns]) for i in (0, 1)]
    bound = lambda t: t["d"] + t["e"]
    tell(f"\nStreams {', '.join(streams)}: {rate('d')} pictures a second decoded, {rate('e')} encoded, "
        f"{rate('apart')} from file to answers without overlap, {rate('dense')} with windows that overlap by 75%\n")
    tell("| figure | goal | clock | cpu |\n|---|---|---|---|")
    for name, goal, of in (("share of 1/(d + e), no overlap", ">= 0.90", lambda t: bound(t) / t["apart"]),
                           ("share of 1/(d + e), 75% overlap", "", lambda t: bound(t) / t["dense"]),
                           ("75% overlap over none", "<= 1.15", lambda t: t["dense"] / t["apart"]),
                           ("times faster than the loop", ">= 5", lambda t: t["loop"] / t["ours"])):
        clock, cpu = ratio(of)
        tell(f"| {name} | {goal} | {clock} | {cpu} |")


def squares(runner, file):
    "Milliseconds of one processor for a picture of 'actors', and for it through the encoder; median of turns"
    pairs = list(iter_frames(file, 10, size=SIZE))
    images = np.stack([x[0] for _, x in stream_images(pairs, ["actors"])])
    ways = [lambda: sum(1 for _ in stream_images(pairs, ["actors"])), lambda: runner.encoder.engine.run(images)]
    return [statistics.median(seconds(way)[1] for _ in range(3)) / len(pairs) * 1e3 for way in ways]


MEMORY_SCRIPT = """
import resource, sys
from pathlib import Path
import numpy as np
from riskclf.data.sequences import VideoRecipe
from riskclf.data.video import ClipRecipe
from riskclf.deployment.engine import find_sources
from riskclf.deployment.runner import VideoRunner
from riskclf.models.graph import call_size
folder = Path(sys.argv[1])
recipe = VideoRecipe(ClipRecipe(size=64), sys.argv[3].split())
runner = VideoRunner(recipe, folder/"model.xml", folder/"encoder.xml")
far = lambda features: np.zeros(len(features), np.float32)
sources = find_sources([sys.argv[2]], runner.suffixes)
n = sum(len(r.outputs["probs"]) for batch in runner.stream(sources, look=far) for r in batch)
status = Path("/proc/self/status")  # ru_maxrss would start from the size of the parent that forked this process
lines = status.read_text().splitlines() if status.exists() else []
peak = next((int(s.split()[1]) for s in lines if s.startswith("VmHWM")), None)
print(n, peak or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def memory(folder, minutes):
    "Print the memory table"
    streams = ["motion", "actors"]
    make_model(folder/"small", "test_efficientnet", 64, streams)
    peaks = []
    for m in minutes:
        file = folder/f"hour-{m}.mp4"
        make_recording(file, m, size=64)
        command = [sys.executable, "-c", MEMORY_SCRIPT, folder/"small", file, " ".join(streams)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode: raise RuntimeError(done.stderr[-2000:])
        windows, peak = map(int, done.stdout.split())
        peaks.append((m, windows, peak / 1024))
    say(f"Streams {', '.join(streams)} of a small encoder, pictures of 64 x 64\n", "Memory")
    say(f"| {' | '.join(f'{m} min, {w} windows' for m, w, _ in peaks)} | growth |", "Memory")
    say("|---" * (len(peaks) + 1) + "|", "Memory")
    say(f"| {' | '.join(f'{p:.0f} MB' for *_, p in peaks)} | {peaks[-1][2]/peaks[0][2] - 1:+.1%} |", "Memory")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="shorter recordings and fewer turns, for a first look")
    parser.add_argument("--no-memory", action="store_true", help="leave out the recordings of up to an hour")
    parser.add_argument("--no-speed", action="store_true", help="memory only")
    parser.add_argument("--streams", nargs="+", action="append", help="such as --streams frame --streams frame motion")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "video_speed.md")
    args = parser.parse_args()
    num_files, length, repeats, loop_windows = (2, 20, 2, 4) if args.quick else (4, 20, 3, 8)
    with tempfile.TemporaryDirectory() as d:
        folder = Path(d)
        files = make_files(folder, num_files, length) if not args.no_speed else []
        if files:
            tell(f"{len(files)} recordings of {length} s, 640 x 360, 25 pictures a second, read at 10; encoder "
                f"tf_efficientnet_lite0 at {SIZE}, recurrent hybrid on windows of 16 pictures; {threads()} threads for "
                f"either side; torch {torch.__version__}, {repeats} turns")
        for streams in (args.streams or [["motion", "actors"], ["frame", "motion"]]) if files else ():
            make_model(folder, "tf_efficientnet_lite0", SIZE, streams)
            report(streams, measure(folder, files, streams, repeats, loop_windows))
            if "actors" in streams:
                found, encoded = squares(runner_of(folder, SIZE, streams, 1.), files[0])
                tell(f"\nSquares: {found:.1f} ms of one processor a picture, the encoder {encoded:.1f} ms "
                    f"({found/encoded:.0%})")
        if not args.no_memory: memory(folder, (1, 10) if args.quick else (1, 10, 60))
    if not args.quick: store(args.out)


if __name__ == "__main__":
    main()

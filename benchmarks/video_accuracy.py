"""Real clips of fights: repeated folds grouped by source, every choice made inside the training folds.

    python benchmarks/video_accuracy.py DATA_FOLDER [--repeats 10] [--only NAME ...]

DATA_FOLDER is fight_surveillance: two-second clips, several cut from one source. Pictures are squashed to a square, so
that their shape, which gives thirty clips away, is never seen. A frozen ImageNet encoder judges streams made from the
pictures (the frame, the movement, ...); features are pooled over time and weighed by a logistic regression whose
strength is chosen on inner folds by source. The two baselines, every idea, the idea chosen anew in each training fold
and ensembles go through the same folds; then random folds, as papers use them. Features and logits are kept
in --cache, so that a run that was stopped goes on. Writes benchmarks/results/video_accuracy.md.

The list of ideas is fixed, and run once as a whole: no idea is added because of what the table says. `NAMED` is the row
that was named before its first run: it needs no choice.
"""
import argparse
import zlib
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from riskclf.core import hash_json, sha256_bytes
from riskclf.data.manifest import load_manifest
from riskclf.data.movement import Thumb, camera_step, movement_map, movement_square
from riskclf.data.sequences import stream_images
from riskclf.data.splits import grouped_folds, random_folds
from riskclf.data.video import VIDEO_DECODER, iter_frames
from riskclf.evaluation.intervals import (
    auroc_statistic,
    difference_statistic,
    format_figure,
    gap_figure,
    group_bootstrap,
    mean_statistic,
    ratio_statistic,
)

FPS, SIZE = 10., 224
ENCODERS = {"lite0": 224, "lite1": 240, "lite2": 260}  # tf_efficientnet_..., at the size each was trained with
TAPS, POOLS, CHANNELS = ("stage4", "final"), ("avg", "max", "std"), {"stage4": 320, "final": 1280}
STRENGTHS = (10., 100., 1000.)  # of the logistic regression, on blocks of unit mean square


# ---- streams: frames uint8 (T, s, s, 3) to pictures uint8 (n, 224, 224, 3) for the encoder

def remembered(f):
    "The last result again when the same clip comes again"
    last = {}
    def again(x, *how):
        if last.get("x") is not x or last.get("how") != how: last.update(x=x, how=how, y=f(x, *how))
        return last["y"]
    return again
def grey(x): return np.round(x.astype(np.float32) @ np.float32([.299, .587, .114])).astype(np.uint8)
def resized(x, size):
    from PIL import Image
    return np.stack([np.asarray(Image.fromarray(f).resize((size, size), Image.BILINEAR)) for f in x])
def movement(x, gap=1, gain=1):
    "|difference| of frames `gap` tenths of a second apart"
    gap = min(gap, len(x) - 1)
    return np.clip(np.abs(x[gap:].astype(np.int16) - x[:len(x)-gap]) * gain, 0, 255).astype(np.uint8)
def consecutive(x):
    "Three grey frames in a row as red, green and blue"
    g = grey(x)
    return np.stack([g[:-2], g[1:-1], g[2:]], -1)
def consecutive_movement(x, gain=2):
    "Three grey differences in a row as red, green and blue"
    d = np.abs(np.diff(grey(x).astype(np.int16), axis=0)) * gain
    return np.clip(np.stack([d[:-2], d[1:-1], d[2:]], -1), 0, 255).astype(np.uint8)
def signed(x): return np.clip(128 + np.diff(x.astype(np.int16), axis=0), 0, 255).astype(np.uint8)
def foreground(x): return np.abs(x - np.median(x, 0).astype(np.float32)).astype(np.uint8)
@remembered
def busiest(x, share=0.5, size=SIZE):
    "The square of the clip, `share` of the side, that holds most movement"
    g = grey(x[:, ::4, ::4]).astype(np.float32)
    energy = np.maximum(np.abs(np.diff(g, axis=0)) - 8, 0).mean(0)
    n = len(energy)
    w, c = int(n * share), np.pad(energy.cumsum(0).cumsum(1), ((1, 0), (1, 0)))
    total = c[w:, w:] - c[:-w, w:] - c[w:, :-w] + c[:-w, :-w]
    i, j = 4 * np.array(np.unravel_index(total.argmax(), total.shape))
    side = int(x.shape[1] * share)
    part = np.ascontiguousarray(x[:, i:i+side, j:j+side])
    return part if side == size else resized(part, size)
def _moved(x, dy, dx):
    "x (h, w, 3) moved by whole pixels, its edge repeated"
    h, w = x.shape[:2]
    return x[np.clip(np.arange(h) - dy, 0, h - 1)][:, np.clip(np.arange(w) - dx, 0, w - 1)]
@remembered
def steady(x):
    "The clip as a camera at rest would have seen it; copies twice as fine as those of the shipped stream"
    small, window = grey(x[:, ::2, ::2]).astype(np.float32), np.hanning(-(-x.shape[1] // 2)).astype(np.float32)
    copies = [Thumb(g, np.fft.rfft2((g - g.mean()) * np.outer(window, window))) for g in small]
    out, place = [x[0]], np.zeros(2)
    for k in range(1, len(x)):
        place = place + 2 * camera_step(copies[k-1], copies[k])
        out.append(_moved(x[k], *np.round(place).astype(int)))
    return np.stack(out)
def tolerant(x, gap=1):
    "The least difference to the earlier frame moved by at most a pixel: what shakes a little stays dark"
    gap = min(gap, len(x) - 1)
    near = np.pad(x[:len(x)-gap], ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge").astype(np.int16)
    h, w, now = x.shape[1], x.shape[2], x[gap:].astype(np.int16)
    shifted = (near[:, i:i+h, j:j+w] for i in range(3) for j in range(3))
    return np.min([np.abs(now - z).sum(-1) // 3 for z in shifted], 0)[..., None].repeat(3, -1).astype(np.uint8)
@remembered
def actors(x, share=0.6, size=SIZE):
    "The smallest square that holds a `share` of the movement: one for a clip, from all of it, not one each half second"
    g = [Thumb(z, None) for z in grey(x[:, ::4, ::4]).astype(np.float32)]
    found = movement_square(np.mean([movement_map(a, b) for a, b in zip(g[:-1], g[1:])], 0), share)
    n = len(g[0].grey)
    i, j, w = (4 * k for k in (round(found.top * n), round(found.left * n), int(n * found.side)))
    return resized(x[:, i:i+w, j:j+w], size)
def shipped(x):
    "The library's stream 'actors': a square found anew for each half second, fit for recordings without an end"
    return np.concatenate([pictures for _, pictures in stream_images(enumerate(x), ["actors"])])
def _windows(n, width=10, hop=5):
    width = min(width, n)
    return [slice(i, i + width) for i in range(0, n - width + 1, hop)]
def dynamic(x):
    "Each second as one picture: approximate rank pooling (Bilen et al. 2016)"
    out = []
    for w in _windows(len(x)):
        z = x[w].astype(np.float32)
        n, t = len(z), np.arange(1, len(z) + 1)
        h = np.r_[0, np.cumsum(1 / t)]
        z = np.tensordot((2*(n - t + 1) - (n + 1)*(h[n] - h[t - 1])).astype(np.float32), z, 1)
        low, high = np.quantile(z, [.005, .995])
        out.append(np.clip((z - low) / max(high - low, 1e-6) * 255, 0, 255).astype(np.uint8))
    return np.stack(out)
def history(x, gain=3):
    "Each second as one picture: most movement of its three thirds as red, green and blue"
    d = np.abs(np.diff(grey(x).astype(np.float32), axis=0))
    thirds = [np.stack([p.max(0) for p in np.array_split(d[w], 3)], -1) for w in _windows(len(d), 9)]
    return np.clip(np.stack(thirds) * gain, 0, 255).astype(np.uint8)
def energy(x, gain=4):
    "Each second as one picture: its mean movement"
    d = np.abs(np.diff(x.astype(np.float32), axis=0))
    return np.clip(np.stack([d[w].mean(0) for w in _windows(len(d), 9)]) * gain, 0, 255).astype(np.uint8)

class Stream(NamedTuple):
    side:int  # that the video is squashed to
    make:object  # frames uint8 (T, side, side, 3) to pictures uint8 (n, s, s, 3)
    step:int = 1  # every step-th picture is encoded
    encoder:str = "lite0"
    flip:bool = False  # mirrored before the encoder sees it

def _crop_motion(size): return lambda x: movement(busiest(x, 0.5, size))
def _actors_motion(size): return lambda x: movement(actors(steady(x), 0.6, size))
STREAMS = {
    "frame": Stream(224, lambda x: x[np.linspace(0, len(x) - 1, 16).round().astype(int)]),
    "motion": Stream(224, movement), "crop motion": Stream(448, _crop_motion(SIZE)),
    "actors motion": Stream(448, _actors_motion(SIZE)),
    "motion:2": Stream(224, lambda x: movement(x, 2), 2), "motion:4": Stream(224, lambda x: movement(x, 4), 2),
    "motion x4": Stream(224, lambda x: movement(x, 1, 4), 2), "motion at 320": Stream(320, movement, 2),
    "signed motion": Stream(224, signed, 2), "foreground": Stream(224, foreground, 2),
    "three frames": Stream(224, consecutive, 2), "three motions": Stream(224, consecutive_movement, 2),
    "dynamic image": Stream(224, dynamic), "motion history": Stream(224, history),
    "motion energy": Stream(224, energy), "tolerant motion": Stream(224, tolerant, 2),
    "crop": Stream(448, busiest, 2), "crop motion:2": Stream(448, lambda x: movement(busiest(x), 2), 2),
    "crop history": Stream(448, lambda x: history(busiest(x))),
    "crop motion 0.35": Stream(448, lambda x: movement(busiest(x, 0.35)), 2),
    "crop three frames": Stream(448, lambda x: consecutive(busiest(x)), 2),
    "steady motion": Stream(448, lambda x: movement(resized(steady(x), SIZE)), 2),
    "steady crop motion:2": Stream(448, lambda x: movement(busiest(steady(x)), 2), 2),
    "actors": Stream(448, lambda x: actors(steady(x)), 2),
    "actors motion:2": Stream(448, lambda x: movement(actors(steady(x)), 2), 2),
    "shipped actors": Stream(224, shipped),
}
VIEWS = ("motion", "crop motion", "actors motion")  # of the whole, of where most moves, of whoever moves
for _e, _s in [*ENCODERS.items()][1:]:
    STREAMS |= {f"{_e} motion": Stream(_s, movement, 2, _e), f"{_e} crop motion": Stream(448, _crop_motion(_s), 2, _e),
                f"{_e} actors motion": Stream(448, _actors_motion(_s), 2, _e)}
STREAMS |= {f"flipped {v}": STREAMS[v]._replace(flip=True, step=2) for v in VIEWS}


# ---- features

def make_extractor(encoder, size):
    "lite0 with all taps; the others with the final average only"
    from riskclf.data.images import ImageRecipe
    from riskclf.models.backbones import create_backbone
    from riskclf.models.image import ImageClassifier, freeze
    from riskclf.training.features import FeatureExtractor
    backbone = create_backbone(f"tf_efficientnet_{encoder}", img_size=size)
    about = dict(pool="+".join(POOLS), taps=TAPS) if encoder == "lite0" else dict(pool="avg", taps=("final",))
    model = freeze(ImageClassifier(backbone, 2, **about)).eval()
    return FeatureExtractor(model, ImageRecipe(size, mean=backbone.mean, std=backbone.std)).use("openvino")


def hand_made(x):
    "Statistics of the movement of a clip, float (D,)"
    g = grey(x[:, ::2, ::2]).astype(np.float32)
    d = np.abs(np.diff(g, axis=0))
    over = [(d > t).mean((1, 2)) for t in (10, 25, 50)]
    tiles = d[:, :112, :112].reshape(len(d), 8, 14, 8, 14).mean((2, 4)).reshape(len(d), -1)
    share = tiles / np.maximum(tiles.sum(1, keepdims=True), 1e-6)
    entropy = -(share * np.log(share + 1e-9)).sum(1)
    jerk = np.abs(np.diff(d, axis=0)).mean((1, 2))
    slow = np.abs(g[4:] - g[:-4]).mean((1, 2)) if len(g) > 4 else d.mean((1, 2))
    rows = [d.mean((1, 2)), np.quantile(d, .99, (1, 2)), *over, np.sort(tiles, 1)[:, -4:].mean(1), entropy, jerk, slow]
    return np.log(1e-2 + np.array([s for r in rows for s in (r.mean(), r.std(), r.max())]))


def _cached(cache, name, items):
    "The file with the features of a stream for some clips"
    made_of = dict(name=name, decoder=VIDEO_DECODER, items=list(items), taps=TAPS, pools=POOLS, version=3)
    return cache/f"{name.replace(' ', '_').replace(':', '-')}-{hash_json(made_of)[:12]}.npz"

def _pictures(source, names):
    "What the encoder sees of each stream of a clip, uint8 (n, s, s, 3); of 'hand' the statistics themselves"
    sides, out = {STREAMS[n].side if n in STREAMS else SIZE for n in names}, []
    seen = {s: np.stack([f for _, f in iter_frames(source, fps=FPS, size=s)]) for s in sides}
    for name in names:
        if name == "hand":
            out.append(hand_made(seen[SIZE])[None])
            continue
        s = STREAMS[name]
        pictures = s.make(seen[s.side])[::s.step]
        out.append(np.ascontiguousarray(pictures[:, :, ::-1] if s.flip else pictures))
    return out

def _features(name, pictures, extractors):
    "Features of the pictures of some clips, which go through the encoder together"
    if name == "hand": return np.concatenate(pictures)
    key = STREAMS[name].encoder, pictures[0].shape[1]
    if key not in extractors: extractors[key] = make_extractor(*key)
    return extractors[key](np.concatenate(pictures))

def stream_features(df, names, cache, extractors, piece=16):
    "For each stream a list of float32 (n, D), one a clip; what the cache lacks is computed, a few clips at a time"
    pieces, found = [df.iloc[i:i+piece] for i in range(0, len(df), piece)], {n: [] for n in names}
    for k, part in enumerate(pieces):
        paths = {n: _cached(cache, n, part["item"]) for n in names}
        todo = [n for n in names if not paths[n].exists()]
        clips = [_pictures(source, todo) for source in part["path"]] if todo else []
        for name, pictures in zip(todo, zip(*clips)):
            temporary = paths[name].with_suffix(".tmp.npz")
            x = _features(name, pictures, extractors)
            np.savez(temporary, x=x.astype(np.float32), n=[len(r) for r in pictures])
            temporary.rename(paths[name])
        if todo: print(f"clips up to {k * piece + len(part)} of {len(df)}: {', '.join(todo)}", flush=True)
        for name in names:
            with np.load(paths[name]) as z: found[name] += np.split(z["x"], np.cumsum(z["n"])[:-1])
    return found


STATS = {"mean": lambda x: x.mean(0), "std": lambda x: x.std(0), "max": lambda x: x.max(0),
         "diff": lambda x: np.abs(np.diff(x, axis=0)).mean(0) if len(x) > 1 else 0 * x[0]}

def columns(tap, pool):
    start = sum(len(POOLS) * CHANNELS[t] for t in TAPS[:TAPS.index(tap)]) + POOLS.index(pool) * CHANNELS[tap]
    return np.arange(start, start + CHANNELS[tap])

def pooled(rows, stats, taps, frames):
    "Features of a stream over time, float (n, D)"
    out, cols = [], np.concatenate([columns(*t) for t in taps])
    if rows[0].shape[1] == CHANNELS["final"]: cols = slice(None)
    for x in rows:
        if frames and len(x) > frames: x = x[np.linspace(0, len(x) - 1, frames).round().astype(int)]
        out.append(np.concatenate([STATS[s](x[:, cols]) for s in stats]))
    return np.stack(out).astype(float)


# ---- ideas: blocks of (stream, statistics over time, taps, frames); of two streams joined by '+' the average counts

FINAL, STAGE4 = (("final", "avg"),), tuple(("stage4", p) for p in POOLS)
ALL = tuple((t, p) for t in TAPS for p in POOLS)
def block(stream, stats="mean+std", taps=FINAL, frames=None): return stream, tuple(stats.split("+")), taps, frames
def blocks(*streams, **how): return [block(s, **how) for s in streams]
def of_encoders(views, *encoders): return blocks(*(v if e == "lite0" else f"{e} {v}" for e in encoders for v in views))
BASE, HAND = dict(stats="mean+std+diff", frames=16), ("hand", None, None, None)
BASELINES = {
    "baseline 1: frame": blocks("frame", **BASE),
    "baseline 2: frame, motion": blocks("frame", "motion", **BASE),
}
SINGLE = [s for s in STREAMS if s != "frame" and not s.startswith("flipped")]  # each of them is an idea
BOTH_WAYS = [f"{v}+flipped {v}" for v in VIEWS]
CROP, THREE = ("motion", "crop motion:2"), ", ".join(VIEWS)
HEADS = ("sources alike", "sources centred", "source offsets shrunk", "20 directions", "half whitened")
IDEAS = {
    "hand-made statistics of motion": [HAND],
    **{s: blocks(s) for s in SINGLE},
    "motion; mean, spread, differences": blocks("motion", stats="mean+std+diff"),
    "motion; mean": blocks("motion", stats="mean"),
    "motion; mean, maximum": blocks("motion", stats="mean+max"),
    "motion; tap stage4, avg+max+std": blocks("motion", taps=STAGE4),
    "motion; taps stage4, final, avg+max+std": blocks("motion", taps=ALL),
    **{f"{v}; every second pair": blocks(v, frames=10) for v in VIEWS},
    **{f"{v}; both ways": blocks(b) for v, b in zip(VIEWS, BOTH_WAYS)},
    "motion, hand-made statistics": [block("motion"), HAND],
    "motion, motion:2": blocks("motion", "motion:2"),
    "motion, motion:4": blocks("motion", "motion:4"),
    "motion, motion history": blocks("motion", "motion history"),
    "motion, crop motion": blocks("motion", "crop motion"),
    "motion, crop motion:2": blocks(*CROP),
    "motion, crop motion, crop motion:2": blocks("motion", "crop motion", "crop motion:2"),
    "motion, actors motion": blocks("motion", "actors motion"),
    "motion, actors motion:2": blocks("motion", "actors motion:2"),
    "actors motion, actors motion:2": blocks("actors motion", "actors motion:2"),
    THREE: blocks(*VIEWS),
    "motion, crop motion:2, actors motion:2": blocks("motion", "crop motion:2", "actors motion:2"),
    "steady motion, actors motion:2": blocks("steady motion", "actors motion:2"),
    "actors, actors motion, actors motion:2": blocks("actors", "actors motion", "actors motion:2"),
    "motion, actors motion:2; taps stage4, final": blocks("motion", "actors motion:2", taps=ALL),
    "motion, shipped actors": blocks("motion", "shipped actors"),
    "motion, crop motion, shipped actors": blocks("motion", "crop motion", "shipped actors"),
    f"{THREE}; both ways": blocks(*BOTH_WAYS),
    **{f"{THREE}; {e}": of_encoders(VIEWS, e) for e in ("lite1", "lite2")},
    f"{THREE}; lite0, lite1, lite2": of_encoders(VIEWS, *ENCODERS),
    "motion, actors motion; lite0, lite1, lite2": of_encoders(("motion", "actors motion"), *ENCODERS),
    **{f"motion, crop motion:2; {h}": blocks(*CROP) for h in HEADS},
    **{f"{THREE}; {h}": blocks(*VIEWS) for h in HEADS},
}
def head_of(name): return h if (h := name.split("; ")[-1]) in HEADS else ""
def _names(views, *encoders): return [s for s, *_ in of_encoders(views, *encoders)]
MEANS = {  # of the logits of ideas, with equal weights
    f"mean of heads: {THREE}": list(VIEWS),
    f"mean of heads: {THREE}; lite0, lite1, lite2": _names(VIEWS, *ENCODERS),
    "mean of heads: every stream": SINGLE,
}
NAMED = f"{THREE}; lite0, lite1, lite2"  # before it was run: the row that needs no choice inside the folds
SHIPPED = "motion, shipped actors"  # what the recipe violence sees, in its own pictures
STACKED = f"stacked heads: {THREE}; lite0, lite1, lite2"  # weights from out-of-fold logits of the training clips
# The rows below were written down before any of them was judged. Nothing of them is chosen: epochs and settings are
# fixed, the threshold is a half. They have no inner logits, so the choice among ideas does not see them.
HYBRIDS = {  # a network over time on the features of frames, the final average of each: streams
    "recurrent hybrid: motion, actors motion": ("motion", "actors motion"),  # stood in the second list already
    "recurrent hybrid: motion, shipped actors": ("motion", "shipped actors"),  # what the recipe violence sees
    "recurrent hybrid: frame, motion": ("frame", "motion"),  # what the recipe violence-hybrid sees
}
AVERAGED = {  # mean of the probabilities of a pooled head and a hybrid, equal weights
    f"pooled and recurrent heads: {s}": (s, f"recurrent hybrid: {s}")
    for s in ("motion, actors motion", "motion, shipped actors")
}
TUNED = {  # does the last stage of the encoder learn, too? on every second picture
    "motion; last stage frozen": False,
    "motion; last stage fine-tuned": True,
}
TUNED_EPOCHS = 8
COMPARED = {f"recurrent hybrid: {s}": s for s in ("motion, actors motion", "motion, shipped actors")}
COMPARED |= {n: members[0] for n, members in AVERAGED.items()} | {[*TUNED][1]: [*TUNED][0]}


# ---- a logistic regression in the space that the training clips span

def kernel(blocks, train):
    "Inner products (n, n) of blocks that are standardised on the training rows and count alike"
    total = 0.
    for x in blocks:
        std = x[train].std(0)
        z = (x - x[train].mean(0)) / np.where(std > 1e-9, np.maximum(std, np.median(std) / 100), 1)
        total = total + z @ z.T / (z.shape[1] * len(blocks))
    return total

def _spectrum(K, train, most=None, half_white=False):
    "Coordinates of all rows in the space of the training rows, float (n, r)"
    values, vectors = np.linalg.eigh(K[np.ix_(train, train)])
    keep = values > 1e-9 * values.max()
    values, vectors = values[keep][-(most or len(values)):], vectors[:, keep][:, -(most or len(values)):]
    scale = values ** -0.25 * np.sqrt(values.sum() / np.sqrt(values).sum()) if half_white else 1
    return K[:, train] @ (vectors / np.sqrt(values) * scale)

def _by_source(X, y, groups, train, head):
    "Coordinates changed as a head that knows of sources wants it: those to fit on and those to judge"
    fit, names = X[train], np.unique(groups[train])
    if head == "sources centred":
        fit = fit - np.stack([fit[groups[train] == groups[i]].mean(0) for i in train])
    if head == "source offsets shrunk":
        rest = fit - np.stack([fit[y == c].mean(0) for c in (0, 1)])[y]
        offsets = np.stack([rest[groups[train] == g].mean(0) for g in names])
        spread = offsets.T @ offsets
        values, vectors = np.linalg.eigh(np.eye(len(spread)) + 30 * spread / np.trace(spread))
        X = X @ (vectors / np.sqrt(values))
        fit = X[train]
    return fit, X

def logistic(K, targets, groups, train, strengths, head=""):
    "Logits of all rows for each strength, float (S, n): classes count alike; Newton steps on the spectrum"
    y = targets[train]
    X = _spectrum(K, train, 20 if head == "20 directions" else None, head == "half whitened")
    fit, X = _by_source(X, y, groups, train, head)
    A, B = np.c_[fit, np.ones(len(fit))], np.c_[X, np.ones(len(X))]
    weight = np.ones(len(train))
    if head == "sources alike":
        _, place, counts = np.unique(groups[train], return_inverse=True, return_counts=True)
        weight = 1 / counts[place]
    for c in (0, 1): weight[y == c] *= len(y) / 2 / weight[y == c].sum()
    ridge, w, out = np.r_[np.ones(fit.shape[1]), 1e-6], np.zeros(A.shape[1]), []
    for C in strengths:
        for _ in range(50):
            p = 1 / (1 + np.exp(-np.clip(A @ w, -30, 30)))
            hessian = (A * (weight * np.maximum(p * (1 - p), 1e-6))[:, None]).T @ A + np.diag(ridge / C)
            step = np.linalg.solve(hessian, A.T @ (weight * (p - y)) + ridge * w / C)
            w = w - step * min(1, 5 / max(np.abs(A @ step).max(), 1e-9))
            if np.abs(step).max() < 1e-6: break
        out.append(B @ w)
    return np.array(out)

def log_loss(logits, targets):
    "Mean over the two classes"
    loss = np.logaddexp(0, np.where(targets == 1, -logits, logits))
    return (loss[targets == 1].mean() + loss[targets == 0].mean()) / 2

def balanced(logits, inner, targets):
    "Logits with the bias that the out-of-fold ones of the training rows want"
    from riskclf.training.balance import balance_bias
    bias = balance_bias(np.stack([-inner, inner], 1) / 2, targets)
    return logits + bias[1] - bias[0]


def judge_fold(blocks, targets, groups, train, inner, head):
    "Of one idea: logits of all rows, and out-of-fold logits of the training rows, strength by the inner loss"
    K = kernel(blocks, train)
    seen = np.zeros((len(STRENGTHS), len(train)))
    part, y, g = K[np.ix_(train, train)], targets[train], groups[train]
    for a, b in inner: seen[:, b] = logistic(part, y, g, a, STRENGTHS, head)[:, b]
    best = int(np.argmin([log_loss(z, y) for z in seen]))
    return logistic(K, targets, groups, train, STRENGTHS[best:best + 1], head)[0], seen[best]


def judge(blocks, head, df, targets, repeats, folds_of):
    "Logits of an idea, outer float (R, n) out of fold and inner (R, 5, n) of each fold's training rows, NaN elsewhere"
    outer, inner = np.zeros((repeats, len(df))), np.full((repeats, 5, len(df)), np.nan)
    for k, (train, test) in enumerate(folds_of(df, 5, repeats)):
        r, f = divmod(k, 5)
        inside = folds_of(df.iloc[train].reset_index(drop=True), 5, 1, seed=k)
        logits, seen = judge_fold(blocks, targets, df["group"].to_numpy(str), train, inside, head)
        outer[r, test], inner[r, f, train] = logits[test], seen
    return outer, inner


def kept(cache, name, made_of, make):
    "What `make` gives (tuple of arrays), from the cache if it is there"
    path = cache/f"logits-{zlib.crc32(name.encode()):08x}-{hash_json(made_of)[:12]}.npz"
    if not path.exists():
        np.savez(path.with_suffix(".tmp.npz"), *make())
        path.with_suffix(".tmp.npz").rename(path)
        print(f"done: {name}", flush=True)
    with np.load(path) as z: return tuple(z[k] for k in z.files)


def finish(found, names, df, targets, repeats, folds_of, most):
    "Mean of the `most` ideas with the lowest inner loss, chosen in each training fold, and what was chosen"
    out, picks = np.zeros((repeats, len(df))), []
    for k, (train, test) in enumerate(folds_of(df, 5, repeats)):
        r, f = divmod(k, 5)
        y, losses = targets[train], [log_loss(found[n][1][r, f, train], targets[train]) for n in names]
        best = [names[i] for i in np.argsort(losses, kind="stable")[:most]]
        inner = np.mean([found[n][1][r, f, train] for n in best], 0)
        out[r, test] = balanced(np.mean([found[n][0][r, test] for n in best], 0), inner, y)
        picks += best
    return out, picks


def stacked(found, members, df, targets, repeats, folds_of):
    "Weights of the members, none below 0, pulled to equal ones, fitted to out-of-fold logits of the training clips"
    from scipy.optimize import minimize
    out, equal = np.zeros((repeats, len(df))), np.full(len(members), 1 / len(members))
    for k, (train, test) in enumerate(folds_of(df, 5, repeats)):
        r, f = divmod(k, 5)
        y, inner = targets[train], np.stack([found[n][1][r, f, train] for n in members], 1)
        def loss(w, y=y, inner=inner): return log_loss(inner @ w, y) + 0.1 * len(members) * ((w - equal) ** 2).sum()
        w = minimize(loss, equal, bounds=[(0, None)] * len(members)).x
        out[r, test] = balanced(np.stack([found[n][0][r, test] for n in members], 1) @ w, inner @ w, y)
    return out


def side_by_side(found):
    "Features of the streams of each clip next to each other, float32 (T, D), at as many moments as the shortest has"
    cols, out = columns("final", "avg"), []
    for parts in zip(*found):
        n = min(map(len, parts))
        rows = [x[-n:] if len(x) - n < 2 else x[np.linspace(0, len(x) - 1, n).round().astype(int)] for x in parts]
        out.append(np.concatenate([x[:, cols] for x in rows], 1))
    return out

def _steps(rates, weight_decay, total):
    "Optimizer and one-cycle schedule for [(parameters, rate)]"
    import torch
    optimizer = torch.optim.AdamW([dict(params=[*p], lr=r) for p, r in rates], weight_decay=weight_decay)
    return optimizer, torch.optim.lr_scheduler.OneCycleLR(optimizer, [r for _, r in rates], total_steps=total)

def hybrid(joined, targets, train, test, seed, streams, epochs=20):
    "Logits of the test clips of a `RecurrentHybrid` trained as the recipe violence-hybrid says, without variations"
    import torch

    from riskclf.models.temporal import create_sequence_model, pad_sequences
    from riskclf.training.losses import focal_loss
    torch.manual_seed(seed)
    width = joined[0].shape[1]
    model = create_sequence_model("recurrent_hybrid", width, 2, streams=[width // streams] * streams, drop_rate=0.35)
    model.set_stats([joined[i] for i in train])
    x, mask = pad_sequences(joined)
    y, batches = torch.eye(2)[torch.as_tensor(targets)], -(-len(train) // 32)
    optimizer, schedule = _steps([(model.parameters(), 1e-3)], 0.003, epochs * batches)
    for _ in range(epochs):
        for rows in torch.as_tensor(train)[torch.randperm(len(train))].split(32):
            optimizer.zero_grad()
            focal_loss(model(x[rows], mask[rows]), y[rows], gamma=3.).mean().backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad(): logits = model.eval()(x[test], mask[test])
    return (logits[:, 1] - logits[:, 0]).numpy()

def last_stage():
    "The encoder lite0 up to its last stage, and the rest of it"
    from torch import nn

    from riskclf.models.backbones import create_backbone
    backbone = create_backbone("tf_efficientnet_lite0", img_size=SIZE).eval()
    m = backbone.model
    return nn.Sequential(m.conv_stem, m.bn1, *m.blocks[:-1]), nn.Sequential(m.blocks[-1], m.conv_head, m.bn2), backbone

def maps_before(df, name="motion"):
    "What the last stage gets of every second picture of each clip, float32 (n, 192, 7, 7)"
    import torch
    body, _, backbone = last_stage()
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (backbone.mean, backbone.std))
    out = []
    with torch.no_grad():
        for source in df["path"]:
            x = torch.from_numpy(_pictures(source, [name])[0][::2].copy()).permute(0, 3, 1, 2).float() / 255
            out.append(body((x - mean) / std))
    return out

def tuned(make_maps, targets, train, test, seed, learns, epochs=TUNED_EPOCHS):
    "Logits of the test clips: a linear layer on mean and spread over time; if it learns, the last stage with it"
    import torch
    from torch import nn

    torch.manual_seed(seed)
    maps, y, tail = make_maps(), torch.as_tensor(targets), last_stage()[1]  # in eval mode: what it normalises by stays
    for p in tail.parameters(): p.requires_grad_(learns)
    with torch.no_grad(): still = None if learns else [tail(m).mean((2, 3)) for m in maps]
    def seen(rows):
        if learns: return tail(torch.cat([maps[i] for i in rows])).mean((2, 3))
        return torch.cat([still[i] for i in rows])
    def pooled(rows):
        x = seen(rows).split([len(maps[i]) for i in rows])
        return torch.stack([torch.cat([f.mean(0), (f.var(0, correction=0) + 1e-6).sqrt()]) for f in x])
    with torch.no_grad(): before = torch.cat([pooled(p) for p in np.array_split(train, 8)])
    mean, std, head, drop = before.mean(0), before.std(0), nn.Linear(before.shape[1], 2), nn.Dropout(0.5)
    nn.init.zeros_(head.weight)
    std = torch.where(std > 1e-6, std, 1.)
    weight, total = len(train) / 2 / torch.bincount(y[train], minlength=2), epochs * -(-len(train) // 16)
    rates = [(head.parameters(), 2e-3)] + [(tail.parameters(), 1e-4)] * learns
    optimizer, schedule = _steps(rates, 0.1, total)
    for _ in range(epochs):
        for rows in torch.as_tensor(train)[torch.randperm(len(train))].split(16):
            optimizer.zero_grad()
            logits = head(drop((pooled(rows.tolist()) - mean) / std))
            nn.functional.cross_entropy(logits, y[rows], weight).backward()
            optimizer.step()
            schedule.step()
    with torch.no_grad(): logits = head((pooled(test) - mean) / std)
    return (logits[:, 1] - logits[:, 0]).numpy()

def judge_network(name, fold, df, repeats, cache, about):
    "Logits (repeats, n) of a network that is trained anew in each fold: fold(train, test, seed) gives those of test"
    out = []
    for r in range(repeats):
        def one(r=r):
            z = np.zeros(len(df))
            for k, (train, test) in enumerate(grouped_folds(df, 5, r + 1)[5*r:]):
                z[test] = fold(train=train, test=test, seed=5*r + k)
            return (z,)
        made_of = dict(name=name, repeat=r, items=df["item"].tolist(), decoder=VIDEO_DECODER, version=1, **about)
        out.append(kept(cache, f"{name}, repeat {r}", made_of, one)[0])
    return np.stack(out)

def averaged(a, b):
    "Logits of the mean of two probabilities"
    p = np.mean([1 / (1 + np.exp(-z)) for z in (a, b)], 0)
    return np.log(p) - np.log1p(-p)


# ---- figures

def statistics(logits, targets, groups, rows):
    "AUROC, balanced accuracy and accuracy of some rows, each a list with one statistic a repeat"
    y, g, out = targets[rows] == 1, groups[rows], dict(auroc=[], balanced_accuracy=[], accuracy=[])
    is_class = np.stack([~y, y], 1)
    for z in logits[:, rows]:
        right = (z > 0) == y
        out["auroc"].append(auroc_statistic(z, y, g))
        out["balanced_accuracy"].append(ratio_statistic(right[:, None] * is_class, is_class, g))
        out["accuracy"].append(ratio_statistic(right, np.ones(len(y)), g))
    return out

def with_partition_luck(fig, values):
    "The figure with an interval that also covers the luck of the partitions, as in `evaluation.leakage`"
    luck = 2 * np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else 0.
    low, high = (fig["value"] + s * np.hypot(fig[e] - fig["value"], luck) for s, e in ((-1, "low"), (1, "high")))
    return fig | dict(low=float(low), high=float(high))

def measured(stats):
    return with_partition_luck(group_bootstrap(mean_statistic(stats)), [s.value for s in stats])

def difference(a, b):
    fig = group_bootstrap(difference_statistic(mean_statistic(a), mean_statistic(b)))
    return with_partition_luck(fig, [x.value - y.value for x, y in zip(a, b)])

def class_gap(logits, targets, groups):
    y = targets == 1
    is_class = np.stack([~y, y], 1)
    return gap_figure(((logits > 0) == y).mean(0)[:, None] * is_class, is_class, groups)


def swap_test(a, b, targets, groups, draws=9999):
    "p of the gain of logits `a` over `b`, both (R, n), in AUROC and accuracy: sources at random swap the two methods"
    from scipy.stats import rankdata
    y, (_, code), rng = targets == 1, np.unique(groups, return_inverse=True), np.random.default_rng(0)
    member = np.eye(code.max() + 1)[code]
    u, ranks = rng.integers(0, 2, (draws, member.shape[1])), [rankdata(z, axis=1) for z in (a, b)]
    def pairs(p, q):
        above = np.mean([(i[y][:, None] > j[~y]) + 0.5 * (i[y][:, None] == j[~y]) for i, j in zip(p, q)], 0)
        return member[y].T @ above @ member[~y] / above.size
    table = [[pairs(p, q) for q in ranks] for p in ranks]
    def area(s): return sum(np.einsum("dg,gh,dh->d", s == i, table[i][j], s == j) for i in (0, 1) for j in (0, 1))
    right = [((z > 0) == y).mean(0) @ member / len(y) for z in (a, b)]
    def gains(s): return area(s) - area(1 - s), (1 - 2 * s) @ (right[0] - right[1])
    seen = gains(np.zeros((1, member.shape[1]), int))
    return [(1 + (np.abs(g) >= abs(o[0]) - 1e-12).sum()) / (1 + draws) for g, o in zip(gains(u), seen)]


def short(fig):
    "A figure without its note: all of them have few groups"
    return format_figure({k: v for k, v in fig.items() if k != "note"})

CHOICES = {"chosen: best idea": 1, "chosen: mean of the best 5 ideas": 5}

def judged(name, df, targets, blocks_of, args, folds_of, kind):
    "What `judge` says of an idea, from the cache if it is there"
    made_of = dict(kind=kind, head=head_of(name), blocks=repr(IDEAS.get(name) or BASELINES[name]), version=3,
                   strengths=STRENGTHS, items=df["item"].tolist(), repeats=args.repeats, decoder=VIDEO_DECODER)
    return kept(args.cache, f"{kind} {name}", made_of,
                lambda: judge(blocks_of(name), head_of(name), df, targets, args.repeats, folds_of))

def run(df, targets, blocks_of, names, args, folds_of, kind):
    "Logits (R, n) of every idea and of what is chosen among them, with their names, and what was chosen"
    found, out, picks = {}, {}, {}
    for name in names: found[name] = judged(name, df, targets, blocks_of, args, folds_of, kind)
    for name in names: out[name], _ = finish(found, [name], df, targets, args.repeats, folds_of, 1)
    for name, members in MEANS.items():
        if set(members) <= set(names): found[name] = tuple(np.mean([found[m][i] for m in members], 0) for i in (0, 1))
    for name in MEANS:
        if name in found: out[name], _ = finish(found, [name], df, targets, args.repeats, folds_of, 1)
    members = MEANS[STACKED.replace("stacked", "mean of")]
    if set(members) <= set(names): out[STACKED] = stacked(found, members, df, targets, args.repeats, folds_of)
    ideas = [n for n in found if n not in BASELINES]
    for name, most in CHOICES.items():
        out[name], picks[name] = finish(found, ideas, df, targets, args.repeats, folds_of, most)
    return out, picks


def row(*cells): return "| " + " | ".join(cells) + " |"
def header(*cells): return [row(*cells), row(*["---"] * len(cells))]
def means(stats): return {n: np.mean([s.value for s in v["auroc"]]) for n, v in stats.items()}
def above(fig): return "above zero" if fig["low"] > 0 else "below zero" if fig["high"] < 0 else "around zero"

ANSWER = """{n} clips of {groups} sources (the largest has {largest}), {repeats} x 5 folds by source. The better
baseline is *{base}*. Gains are paired with it on the same folds, with 95% intervals over sources, widened by
the luck of the partitions. *Chosen* is, in each training fold anew, what had the lowest loss on inner folds out
of {ideas} ideas; *{named}* was named before it was judged, with equal weights, so that nothing about it is
chosen; *{shipped}* is what the recipe violence sees,
one of the ideas that were looked at together.

- **Gain** of what was chosen ({chosen}): {gain} in AUROC, an interval that lies {sign}, and
  {right} in accuracy.
- **Classes**: it finds {fight:.1%} of the fights and {calm:.1%} of the others; the interval of the gap goes from
  {low:.1%} to {high:.1%}.
- **Leakage**: random folds, as papers use them, show {leak} more accuracy for *{leaking}*.
- **Networks over time**: {networks}

Only clips from new sources can confirm any of it."""

CAREFUL = """A name says the streams, after a semicolon the statistics over time (mean and spread where it says
nothing), the taps of the encoder (the final average) or the head. Strength and bias of each idea come from
inner folds by source of the training clips. Gains are over *{base}* on the same folds; p: how often the gain is
as large when sources swap the two methods at random. The rows were looked at together, so the best of them is a
little too good. Even the choice is not wholly blind: crop and actors came of a look at out-of-fold errors on
these clips, and the second list of ideas (larger encoders, mirrored pictures, means of heads, more streams) and
the networks over time were written down and committed before any of them was judged, by someone who knew the
figures of the first.{left}"""
FEW = """Trained anew in each fold, so only in the first repeats; gains are over the better baseline in the same
ones. Nothing is chosen: epochs are fixed, the threshold is a half. *Recurrent hybrids* follow the recipe
violence-hybrid (focal loss, 20 epochs, one cycle), on the unchanged view of each clip only and on the clip as a
whole. *Pooled and recurrent heads* are the mean of two probabilities. For the *last stage* each fold trains that of
the encoder or, for comparison, only the linear layer after it, in the same way, for {epochs} epochs. None of them has
inner logits: the choice among ideas does not see them. With one repeat the
intervals leave out the luck of the partitions."""
LEAKS = "Clips of one source on both sides; paired with the same idea on folds by source."

KEYS = ("auroc", "balanced_accuracy", "accuracy")

def network_words(page, few):
    "One sentence on the networks over time"
    y, groups = page["targets"], page["groups"]
    made = [(n, m) for n, m in COMPARED.items() if n in few and n in HYBRIDS and m in page["stats"]]
    if not made: return "not judged."
    seen = [(n, m, statistics(few[n], y, groups, y >= 0)["auroc"]) for n, m in made]
    gains = [f"*{n}* gains {short(difference(s, page['stats'][m]['auroc'][:len(few[n])]))}" for n, m, s in seen]
    return "in AUROC, over a pooled linear head on the same streams, " + "; ".join(gains) + "."

def answer(page, random, few, facts):
    "What a reader wants to know first, with a short table"
    base, shown, (targets, groups) = page["base"], page["first"], (page["targets"], page["groups"])
    stats, best = page["stats"], max(CHOICES, key=CHOICES.get)
    gains = {n: [difference(stats[n][k], stats[base][k]) for k in ("auroc", "accuracy")] for n in shown}
    gap, name = class_gap(page["logits"][best], targets, groups), [*random][-1]
    right = ((page["logits"][best] > 0) == (targets == 1)).mean(0)
    leak = difference(statistics(random[name], targets, groups, targets >= 0)["accuracy"], stats[name]["accuracy"])
    words = ANSWER.format(base=base, named=NAMED, shipped=SHIPPED, chosen=best.split(": ")[1],
                          gain=short(gains[best][0]), sign=above(gains[best][0]), right=short(gains[best][1]),
                          fight=right[targets == 1].mean(),
                          calm=right[targets == 0].mean(), low=gap["low"], high=gap["high"], leak=short(leak),
                          leaking=name, networks=network_words(page, few), **facts)
    out = ["\n## Answer\n", words, "", *header("idea", "AUROC", "accuracy", "gain in AUROC", "gain in accuracy")]
    for n in [*BASELINES, *shown]:
        cells = [short(measured(stats[n][k])) for k in ("auroc", "accuracy")]
        out.append(row(n, *cells, *([short(f) for f in gains[n]] if n in gains else ["", ""])))
    return out

def gap_rows(page, names):
    y, heads = page["targets"], header("idea", "fight", "nofight", "gap of the classes")
    out = ["\n## Recall of the classes\n", *heads]
    for n in names:
        right = ((page["logits"][n] > 0) == (y == 1)).mean(0)
        recalls = [f"{right[y == c].mean():.3f}" for c in (1, 0)]
        out.append(row(n, *recalls, short(class_gap(page["logits"][n], y, page["groups"]))))
    return out

def leak_rows(page, random):
    out = ["\n## Random folds, as papers use them\n", LEAKS, "",
           *header("idea", "AUROC", "accuracy", "AUROC: random less grouped", "accuracy: random less grouped")]
    for n, z in random.items():
        s = statistics(z, page["targets"], page["groups"], page["targets"] >= 0)
        cells = [measured(s[k]) for k in ("auroc", "accuracy")]
        cells += [difference(s[k], page["stats"][n][k]) for k in ("auroc", "accuracy")]
        out.append(row(n, *map(short, cells)))
    return out

def every_row(page, args):
    "Each idea with its figures"
    base, stats, logits = page["base"], page["stats"], page["logits"]
    left = [n for n in (*IDEAS, *MEANS) if n not in logits]
    out = ["\n## Every idea\n", CAREFUL.format(base=base, left=f" {args.why}" * bool(left)), "",
           *header("idea", "AUROC", "accuracy", "gain in AUROC", "p", "gain in accuracy", "p")]
    def cells_of(n):
        cells = [short(measured(stats[n][k])) for k in ("auroc", "accuracy")]
        if n in BASELINES: return [*cells, *[""] * 4]
        p = [f"{x:.3f}" for x in swap_test(logits[n], logits[base], page["targets"], page["groups"])]
        gains = [short(difference(stats[n][k], stats[base][k])) for k in ("auroc", "accuracy")]
        return [*cells, gains[0], p[0], gains[1], p[1]]
    out += [row(n, *page["once"]("all", n, partial(cells_of, n))) for n in page["shown"]]
    return out + [row(n, "not run", *[""] * 5) for n in left]

def rest_rows(page):
    base, rest = page["base"], page["rest"]
    out = ["\n## Without the thirty clips that the shape of the picture gives away\n",
           *header("idea", "AUROC", "balanced accuracy", "gain in AUROC", "gain in balanced accuracy")]
    def cells_of(n):
        cells = [measured(rest[n][k]) for k in KEYS[:2]]
        if n not in BASELINES: cells += [difference(rest[n][k], rest[base][k]) for k in KEYS[:2]]
        return [*map(short, cells), *["", ""] * (n in BASELINES)]
    return out + [row(n, *page["once"]("rest", n, partial(cells_of, n))) for n in page["shown"]]

def few_rows(page, few, args):
    "Networks that were judged on the first repeats only"
    y, groups, base = page["targets"], page["groups"], page["base"]
    seen = {n: statistics(z, y, groups, y >= 0) for n, z in few.items()}
    heads = header("idea", "repeats", "AUROC", "accuracy", "gain in AUROC", "p", "gain in accuracy", "p")
    out = ["\n## Networks that are trained\n", FEW.format(epochs=TUNED_EPOCHS), "", *heads[:len(few) and 2]]
    for n, z in few.items():
        p = [f"{x:.3f}" for x in swap_test(z, page["logits"][base][:len(z)], y, groups)]
        cells = [short(measured(seen[n][k])) for k in ("auroc", "accuracy")]
        gains = [short(difference(seen[n][k], page["stats"][base][k][:len(z)])) for k in ("auroc", "accuracy")]
        out.append(row(n, str(len(z)), *cells, gains[0], p[0], gains[1], p[1]))
    pairs = []
    for n, other in COMPARED.items():
        if n not in seen or (other not in seen and other not in page["stats"]): continue
        b = seen.get(other) or {k: page["stats"][other][k][:len(few[n])] for k in KEYS}
        pairs.append(row(f"{n}, less {other}", *(short(difference(seen[n][k], b[k])) for k in ("auroc", "accuracy"))))
    if pairs: out += ["", *header("compared on the same folds", "AUROC", "accuracy"), *pairs]
    left = [n for n in (*HYBRIDS, *TUNED) if n not in few]
    return out + ["", f"Not run: {'; '.join(left)}. {args.why}".rstrip()] * bool(left)

def table(logits, random, picks, few, df, targets, args):
    "The page of results"
    groups, number = df["group"].to_numpy(str), df["item"].str.extract(r"nofi(\d+)", expand=False).fillna("0")
    giveaway = number.astype(int).between(62, 91).to_numpy()
    stats = {n: statistics(z, targets, groups, targets >= 0) for n, z in logits.items()}
    rest, auroc = {n: statistics(z, targets, groups, ~giveaway) for n, z in logits.items()}, means(stats)
    base, first = max(BASELINES, key=auroc.get), [n for n in (*CHOICES, NAMED, SHIPPED) if n in logits]
    best = sorted(set(logits) - {*first, *BASELINES}, key=lambda n: -auroc[n])
    page = dict(logits=logits, stats=stats, rest=rest, base=base, first=first, shown=[*BASELINES, *first, *best],
                targets=targets, groups=groups)
    def once(kind, n, make):
        made_of = sha256_bytes(logits[n].tobytes() + logits[base].tobytes())
        return [str(c) for c in kept(args.cache, f"{kind} of {n}", dict(made_of=made_of, version=1), make)]
    page["once"] = once
    facts = dict(repeats=args.repeats, n=len(df), groups=len(set(groups)),
                 ideas=sum(n in logits for n in (*IDEAS, *MEANS)),
                 largest=np.unique(groups, return_counts=True)[1].max())
    text = ["# Fights on surveillance cameras: sources never seen\n",
            f"`python benchmarks/video_accuracy.py DATA --repeats {args.repeats}`", *answer(page, random, few, facts),
            *gap_rows(page, [*BASELINES, *first]), *leak_rows(page, random), *every_row(page, args),
            *few_rows(page, few, args), *rest_rows(page), "\n## What the choice took"]
    for n, taken in picks.items():
        names, counts = np.unique(taken, return_counts=True)
        most = [f"{names[i]} ({counts[i]})" for i in np.argsort(-counts, kind="stable")[:6]]
        text += ["", f"*{n}* took, in {args.repeats * 5} training folds: " + "; ".join(most) + "."]
    return "\n".join(text) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--repeats", type=int, default=10, help="times that the folds are drawn anew")
    parser.add_argument("--only", nargs="*", help="ideas to look at, all by default")
    parser.add_argument("--without", nargs="*", default=(), help="networks to leave out")
    parser.add_argument("--why", default="", help="why the others are left out, a sentence for the page")
    parser.add_argument("--cache", type=Path, default=Path("benchmarks/cache/video_accuracy"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/video_accuracy.md"))
    parser.add_argument("--networks", type=int, default=2, help="repeats with networks over time, 0 for none")
    parser.add_argument("--tuned", type=int, default=1, help="repeats with an encoder that learns, 0 for none")
    parser.add_argument("--judge", action="store_true", help="judge ideas into the cache, and write no page")
    parser.add_argument("--features", nargs="*", help="only compute these streams")
    args = parser.parse_args()
    args.cache.mkdir(parents=True, exist_ok=True)
    df, scale = load_manifest(args.data, classes="nofight,fight")
    targets, extractors, memory = np.array([scale.index(v) for v in df["label"]]), {}, {}
    names = [*BASELINES, *(n for n in IDEAS if not args.only or n in args.only)]
    if args.features is not None:
        stream_features(df, args.features or ["hand", *STREAMS], args.cache, extractors)
        return
    def rows_of(stream):
        if stream not in memory: memory.update(stream_features(df, [stream], args.cache, extractors))
        return memory[stream]
    def blocks_of(name):
        out = []
        for streams, *how in IDEAS.get(name) or BASELINES[name]:
            made = [np.concatenate(rows_of(s)) if s == "hand" else pooled(rows_of(s), *how) for s in streams.split("+")]
            out.append(np.mean(made, 0))
        return out
    if args.judge:
        for name in args.only or names: judged(name, df, targets, blocks_of, args, grouped_folds, "grouped")
        return
    grouped, picks = run(df, targets, blocks_of, names, args, grouped_folds, "grouped")
    def wanted(name): return (not args.only or name in args.only) and name not in args.without
    few, maps, most = {}, lru_cache(1)(lambda: maps_before(df)), min(args.networks, args.repeats)
    for name, streams in HYBRIDS.items():
        if not (wanted(name) and most): continue
        fold = partial(hybrid, side_by_side([rows_of(s) for s in streams]), targets, streams=len(streams))
        few[name] = judge_network(name, fold, df, most, args.cache, dict(streams=streams))
    for name, (a, b) in AVERAGED.items():
        if a in grouped and b in few: few[name] = averaged(grouped[a][:most], few[b])
    for name, learns in TUNED.items():
        if not (wanted(name) and args.tuned): continue
        fold = partial(tuned, maps, targets, learns=learns)
        few[name] = judge_network(name, fold, df, min(args.tuned, args.repeats), args.cache, dict(epochs=TUNED_EPOCHS))
    shown = [*BASELINES, *(n for n in ("motion", "motion, crop motion:2") if n in names)]
    random, _ = run(df, targets, blocks_of, shown, args, random_folds, "random")
    random = {n: z for n, z in random.items() if n not in CHOICES}
    text = table(grouped, random, picks, few, df, targets, args)
    print(text)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    args.out.write_text(text)


if __name__ == "__main__": main()

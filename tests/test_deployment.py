"What no notebook can tell of bundles: kills at any moment, and a machine that has nothing but what serving needs"
import os
import random
import signal
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

from riskclf.core import InputError
from riskclf.deployment.bundle import load
from riskclf.deployment.format import amend, read_folder

ROOT = Path(__file__).parents[1]
FIXTURES = sorted((ROOT/"tests"/"fixtures").glob("bundle-format-*"))
ENV = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RISKCLF_THREADS": "1"}

WRITE = """
import sys
from riskclf.deployment.format import amend
print("ready", flush=True)
for i in range(1000): amend(sys.argv[1], sys.argv[2], {"provenance": {"round": i}}, overwrite=True)
"""

PREDICT = """
import json, sys
for name in ("torch", "openvino", "pandas", "scipy", "sklearn", "fastai"):
    try: __import__(name)
    except ImportError: continue
    sys.exit(f"{name} is installed: this environment proves nothing")
from riskclf.deployment import bundle
b = bundle.load(sys.argv[1], num_threads=1)
import numpy as np
red = np.full((32, 32, 3), (220, 20, 20), np.uint8)
print(json.dumps(dict(same=b.machine.same, runtime=b.runner.runtime, decision=next(b.predict(red)).to_dict())))
"""


@pytest.mark.parametrize("seed", range(8))
def test_kill_while_writing_leaves_a_whole_bundle_or_none(tmp_path, seed):
    "Shot at a random moment of overwriting a bundle again and again"
    target = tmp_path/"bundle"
    child = subprocess.Popen([sys.executable, "-c", WRITE, FIXTURES[0], target], stdout=subprocess.PIPE, env=ENV)
    assert child.stdout.readline() == b"ready\n"
    while not target.exists(): time.sleep(0.001)
    time.sleep(random.Random(seed).uniform(0, 0.2))
    child.send_signal(signal.SIGKILL)
    child.wait()
    there = target
    if not target.exists(): there, = tmp_path.glob(".bundle.*.tmp.old")  # died between the two renames
    assert "round" in read_folder(there)["provenance"]
    if there != target:
        with pytest.raises(InputError, match="never changed"): amend(FIXTURES[0], target, {})  # puts the old one back
        assert "round" in read_folder(target)["provenance"]
    amend(FIXTURES[0], target, {}, overwrite=True)
    assert load(target, num_threads=1).machine.same
    assert os.listdir(tmp_path) == ["bundle"]


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda f: f.name)
def test_every_single_byte_counts(tmp_path, fixture):
    "One bit changed anywhere in any file is refused"
    copy = tmp_path/"copy"
    subprocess.run(["cp", "-r", fixture, copy], check=True)
    rng = random.Random(0)
    for file in [p for p in copy.rglob("*") if p.is_file() and p.stat().st_size]:
        good = file.read_bytes()
        bad = bytearray(good)
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        file.write_bytes(bad)
        with pytest.raises(InputError): read_folder(copy)
        file.write_bytes(good)
    assert read_folder(copy) == read_folder(fixture)


def test_serves_where_only_a_runtime_is_installed(tmp_path):
    "Where there is only fastcore, numpy, Pillow, simplejpeg and ONNX Runtime: no torch, no pandas, no OpenVINO"
    venv.create(tmp_path/"env", with_pip=True)
    python = tmp_path/"env"/"bin"/"python"
    pip = [python, "-m", "pip", "install", "-q", "--no-cache-dir", "-c", ROOT/".github"/"constraints.txt"]
    subprocess.run([*pip, "fastcore<2", "numpy", "pillow", "simplejpeg", "onnxruntime"], check=True)
    done = subprocess.run([python, "-c", PREDICT, FIXTURES[-1]], cwd=tmp_path, env=ENV, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"same": true' in done.stdout and '"runtime": "onnxruntime"' in done.stdout
    assert '"label": "danger"' in done.stdout and '"action": "alarm"' in done.stdout

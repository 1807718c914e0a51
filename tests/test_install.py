"What no notebook can tell: the wheel and the sdist work in an environment that has never seen this repository"
import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*args, **kwargs):
    done = subprocess.run([str(a) for a in args], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, f"{args}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    "A wheel made from the sdist, so that both are known to be complete"
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", out, ROOT)
    return out


def test_sdist_carries_its_settings(built):
    names = tarfile.open(next(built.glob("*.tar.gz"))).getnames()
    assert any(n.endswith("/settings.ini") for n in names)


def test_wheel_holds_the_library_and_nothing_else(built):
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    assert "riskclf/core.py" in names and "riskclf/deployment/bundle.py" in names
    assert not [n for n in names if not n.startswith(("riskclf/", "riskclf-"))]


def test_links_of_the_index_page_lead_somewhere(built):
    with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        text = wheel.read(name).decode()
    links = re.findall(r"\]\(([^)]*)\)", text)
    assert len(links) > 5 and all(link.startswith("https://") for link in links), links


def test_wheel_in_a_fresh_environment(built, tmp_path):
    home = tmp_path/"env"
    venv.create(home, with_pip=True)
    python = home/"bin"/"python"
    wheel = next(built.glob("*.whl"))
    run(python, "-m", "pip", "install", "-q", "--no-cache-dir", "-c", ROOT/".github"/"constraints.txt", wheel)
    env = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"XDG_CACHE_HOME": str(tmp_path/"cache")}
    assert "certify" in run(home/"bin"/"riskclf", "--help", env=env, cwd=tmp_path)
    run(home/"bin"/"riskclf", "demo", "--out", tmp_path/"demo", env=env, cwd=tmp_path)
    assert (tmp_path/"demo"/"run"/"bundle"/"bundle.json").exists()
    freeze = run(python, "-m", "pip", "freeze")
    assert "nbdev" not in freeze, "a development tool is in the runtime requirements"

"What `make test` holds the repository to besides its notebooks; each check returns a list of complaints"

import ast
import json
import re
import subprocess
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).parents[2]
NBS = ROOT / "nbs"
SCRIPTS = ROOT / ".github" / "scripts"
BIN = Path(sys.executable).parent
LIGHT = re.compile(
    r"^(core|windows"
    r"|data\.(captions|decode|facts|frames|images|live|movement|sequences|video)"
    r"|models\.graph"
    r"|evaluation\.(bounds|calibration|certificate|clips|detection|events|intervals|ledger|levels|outliers|policy"
    r"|subgroups|timeline|verify)"
    r"|deployment\..*"
    r"|doctor|recordings|commands|certifying|detecting|checking|exporting|workflow|signoff|comparison|signatures|cli)$"
)


def notebooks():
    return sorted(NBS.glob("[0-9]*.ipynb")) + [NBS / "index.ipynb"] + sorted((NBS / "tutorials").glob("*.ipynb"))


def cells(nb):
    return json.loads(nb.read_text(encoding="utf-8"))["cells"]


def source(cell):
    return "".join(cell["source"])


def module_name(nb):
    return re.sub(r"^\d+[a-z]?_", "", nb.stem)


def run(*args, cwd=ROOT):
    return subprocess.run([str(a) for a in args], cwd=cwd, capture_output=True, text=True)


def export_in_sync():
    "The exported library is what the notebooks say"
    with tempfile.TemporaryDirectory() as d:
        files = run("git", "ls-files", "-co", "--exclude-standard").stdout.splitlines()
        for f in files:
            if (
                (ROOT / f).is_symlink()
                or not (ROOT / f).is_file()
                or not f.startswith(("nbs/", "riskclf/", "settings.ini"))
            ):
                continue
            (Path(d) / f).parent.mkdir(parents=True, exist_ok=True)
            (Path(d) / f).write_bytes((ROOT / f).read_bytes())
        done = run(BIN / "nbdev_export", cwd=d)
        if done.returncode:
            return [f"nbdev_export failed: {done.stderr[-500:]}"]
        here = {p.relative_to(ROOT) for p in (ROOT / "riskclf").rglob("*.py")}
        there = {p.relative_to(d) for p in (Path(d) / "riskclf").rglob("*.py")}
        names = {f"riskclf/{module_name(nb).replace('.', '/')}.py" for nb in NBS.glob("[0-9]*.ipynb")}
        stale = [str(p) for p in here if p.name not in ("__init__.py", "_modidx.py") and str(p) not in names]
        differ = [
            str(p) for p in here | there if p not in here or (ROOT / p).read_bytes() != (Path(d) / p).read_bytes()
        ]
    return [f"{p} differs from its notebook: run nbdev_export" for p in sorted(differ)] + [
        f"{p} has no notebook" for p in sorted(stale)
    ]


def notebooks_clean():
    "`nbdev_clean` would change nothing, nothing private or noisy is saved, and every notebook has outputs"
    found = []
    for nb in notebooks():
        text, rel = nb.read_text(encoding="utf-8"), nb.relative_to(ROOT)
        with tempfile.TemporaryDirectory() as d:
            copy = Path(d) / nb.name
            copy.write_text(text, encoding="utf-8")
            (Path(d) / "settings.ini").write_bytes((ROOT / "settings.ini").read_bytes())
            run(BIN / "nbdev_clean", "--fname", copy, cwd=d)
            if copy.read_text(encoding="utf-8") != text:
                found.append(f"{rel} is not clean: run nbdev_clean")
        code = [c for c in cells(nb) if c["cell_type"] == "code"]
        outputs = [o for c in code for o in c["outputs"]]
        if not outputs:
            found.append(f"{rel} has no saved output")
        if any(o["output_type"] == "error" for o in outputs):
            found.append(f"{rel} has an error saved as output")
        if any(o.get("name") == "stderr" for o in outputs):
            found.append(f"{rel} has stderr saved in its outputs")
        if re.search(r"/(?:home|root|tmp|work)/\w", json.dumps(outputs)):
            found.append(f"{rel} shows a machine path in an output")
        if nb.stat().st_size > 1_000_000:
            found.append(f"{rel} is {nb.stat().st_size / 1e6:.1f} MB, over 1 MB")
    return found


NOT_RUN = re.compile(r"^#\|\s*(hide|exports?i?|default_exp|eval:|slow|gpu|notest)", re.M)
SILENT = re.compile(r"test_\w+|chdir|mkdir|cleanup")


def speaks(text):
    "Does running this source print, display or end in a value to show? Loops, `if` and `with` are looked into"
    body = ast.parse(re.sub(r"^[%!].*$", "", text, flags=re.M)).body
    todo = list(body)
    while todo:
        node = todo.pop()
        todo += node.body if isinstance(node, (ast.For, ast.If, ast.With)) else []
        call = isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
        if call and getattr(node.value.func, "id", "") in ("print", "display"):
            return True
    if not body or not isinstance(body[-1], ast.Expr) or text.rstrip().endswith(";"):
        return False
    value = body[-1].value
    name = getattr(value.func, "attr", getattr(value.func, "id", "")) if isinstance(value, ast.Call) else ""
    return not isinstance(value, ast.Constant) and not SILENT.fullmatch(name)


def outputs_saved():
    "A visible cell that says something has it saved, and what it says is not that the data was missing"
    found = []
    for nb in notebooks():
        for i, c in enumerate(cells(nb)):
            if c["cell_type"] != "code":
                continue
            if not c["outputs"] and not NOT_RUN.search(source(c)) and speaks(source(c)):
                found.append(f"{nb.name}: cell {i} has no saved output: run it with run_nbs.py")
            if any("".join(o.get("text", "")).startswith("skipped: ../../shared") for o in c["outputs"]):
                found.append(f"{nb.name}: cell {i} was saved where the data is not")
    return found


def import_cells():
    "Import cells hold imports only: building the site runs every cell that has one, whole and alone"
    found = []
    for nb in notebooks():
        for c in cells(nb):
            text = source(c)
            if c["cell_type"] != "code" or re.search(r"#\|\s*(exports?i?\b|eval:\s*false)|nbdev_export\(\)", text):
                continue
            kinds = {type(n) for n in ast.walk(ast.parse(re.sub(r"^[%!].*$", "", text, flags=re.M)))}
            if kinds & {ast.Import, ast.ImportFrom} and kinds & {ast.Expr, ast.Assign}:
                found.append(f"{nb.name}: imports and other code in one cell: {text[:60]!r}")
    return found


def absolute(node, module):
    "The full name of what `from X import y` imports, X being written from the package of `module` when it is relative"
    if not node.level:
        return node.module
    above = ["riskclf", *module.split(".")][: -node.level]
    return ".".join([*above, node.module] if node.module else above)


def imported(tree, module):
    "Names of riskclf modules imported anywhere in a module, and of all modules imported at its top"
    froms = [(n in tree.body, absolute(n, module)) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    plain = [(n in tree.body, a.name) for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    both = froms + plain
    return {m for _, m in both if m.startswith("riskclf.")}, {m for top, m in both if top}


def imports_point_down():
    "Modules import only modules with lower numbers; light ones only numpy, fastcore and light modules at their top"
    order = {f"riskclf.{module_name(nb)}": i for i, nb in enumerate(sorted(NBS.glob("[0-9]*.ipynb")))}
    found = []
    for name, place in order.items():
        path = ROOT / (name.replace(".", "/") + ".py")
        if not path.exists():
            continue
        module = name.removeprefix("riskclf.")
        ours, tops = imported(ast.parse(path.read_text(encoding="utf-8")), module)
        found += [f"{name} imports {m}, which does not exist" for m in sorted(ours) if m not in order]
        found += [f"{name} imports {m}, which comes later" for m in sorted(ours) if order.get(m, -1) >= place]
        if not LIGHT.match(module):
            continue
        for top in sorted(tops):
            first = top.split(".")[0]
            light = LIGHT.match(top.removeprefix("riskclf.")) if top.startswith("riskclf.") else None
            if not (light or top == "riskclf" or first in ("numpy", "fastcore") or first in sys.stdlib_module_names):
                found.append(f"{name} is light but imports {top} at its top")
    return found


def private_names_stay():
    "No module imports a name with an underscore from another one"
    found = []
    for nb in NBS.glob("[0-9]*.ipynb"):
        module = module_name(nb)
        path = ROOT / "riskclf" / (module.replace(".", "/") + ".py")
        if not path.exists():
            continue
        for n in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            home = absolute(n, module) if isinstance(n, ast.ImportFrom) else ""
            if not home.startswith("riskclf."):
                continue
            names = [a.name for a in n.names if a.name.startswith("_")]
            if names:
                found.append(f"riskclf.{module} imports {', '.join(names)} of {home}: make it public, or move it")
    return found


def small_modules():
    "No exported module is over 450 lines, no exported cell over 60"
    found = []
    for nb in NBS.glob("[0-9]*.ipynb"):
        exported = [
            source(c) for c in cells(nb) if c["cell_type"] == "code" and re.match(r"#\|\s*exports?\b", source(c))
        ]
        if (n := sum(s.count("\n") + 1 for s in exported)) > 450:
            found.append(f"{nb.name} exports {n} lines: cut it in two")
        found += [
            f"{nb.name}: an exported cell of {s.count(chr(10)) + 1} lines" for s in exported if s.count("\n") >= 60
        ]
    return found


def sidebar_complete():
    "Every notebook is in the sidebar, and the sidebar names no other"
    listed = set(re.findall(r"[\w./]+\.ipynb", (NBS / "sidebar.yml").read_text()))
    there = {str(nb.relative_to(NBS)) for nb in notebooks()}
    return [f"sidebar.yml lacks {n}" for n in sorted(there - listed)] + [
        f"sidebar.yml names {n}, which does not exist" for n in sorted(listed - there)
    ]


def lint():
    "ruff, over modules, scripts and notebooks"
    done = run(BIN / "ruff", "check", "--output-format=concise", ".")
    return done.stdout.splitlines()[:20] if done.returncode else []


def starts_light():
    "`import riskclf` and `riskclf --help` take neither torch nor fastai"
    code = (
        "import sys, riskclf, riskclf.cli, riskclf.workflow;"
        "print([m for m in ('torch', 'fastai', 'pandas', 'sklearn') if m in sys.modules])"
    )
    done = run(sys.executable, "-c", code)
    found = [f"importing riskclf.cli failed: {done.stderr[-300:]}"] if done.returncode else []
    if not found and done.stdout.strip() != "[]":
        found.append(f"importing riskclf.cli imports {done.stdout.strip()}")
    if run(BIN / "riskclf", "--help").returncode:
        found.append("riskclf --help failed")
    return found


def readme_in_sync():
    "README.md is what nbs/index.ipynb says"
    done = run(sys.executable, SCRIPTS / "make_readme.py", "--check")
    return [done.stderr.strip()] if done.returncode else []


class Links(HTMLParser):
    "Links and anchors of one page"

    def __init__(self, text):
        super().__init__()
        self.links, self.ids = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        d = dict(attrs)
        self.ids |= {v for k in ("id", "name") if (v := d.get(k))}
        self.links += [v for k in ("href", "src") if (v := d.get(k))]


def site_links():
    "The site builds and no link on it leads nowhere"
    done = run(sys.executable, SCRIPTS / "build_docs.py")
    if done.returncode:
        return [f"the site does not build: {(done.stdout + done.stderr)[-800:]}"]
    site = ROOT / "_docs"
    pages = {p.resolve(): Links(p.read_text(encoding="utf-8")) for p in site.rglob("*.html")}
    found = []
    for page, parsed in pages.items():
        for link in parsed.links:
            to = urlsplit(link)
            if to.scheme or to.netloc or link.startswith(("data:", "#cb")):
                continue
            target = (page.parent / unquote(to.path)).resolve() if to.path else page
            if target.is_dir():
                target = target / "index.html"
            if not target.exists():
                found.append(f"{page.name} links to {link}, which does not exist")
            elif to.fragment and target in pages and unquote(to.fragment) not in pages[target].ids:
                found.append(f"{page.name} links to {link}, and there is no such place on that page")
    return found if len(pages) > 2 else ["the site has no pages"]


CHECKS = (
    export_in_sync,
    notebooks_clean,
    outputs_saved,
    import_cells,
    imports_point_down,
    private_names_stay,
    small_modules,
    sidebar_complete,
    lint,
    starts_light,
    readme_in_sync,
    site_links,
)

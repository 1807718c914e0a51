"Everything is read from settings.ini: this file only hands it to setuptools"

import configparser
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.sdist import sdist

root = Path(__file__).parent
config = configparser.ConfigParser(delimiters=["="])
config.read(root / "settings.ini", encoding="utf-8")
cfg = config["DEFAULT"]

extras = {k.removesuffix("_requirements"): v.split() for k, v in cfg.items() if k.endswith("_requirements")}
readme = (root / "README.md").read_text(encoding="utf-8") if (root / "README.md").exists() else ""
readme = readme.replace("](nbs/", f"]({cfg['git_url']}blob/{cfg['branch']}/nbs/")  # a package index has no chapters
extras["all"] = sorted({r for name, reqs in extras.items() if name != "dev" for r in reqs})


class SourceDist(sdist):
    "An sdist that carries settings.ini, without which this file cannot run"

    def make_distribution(self):
        self.filelist.append("settings.ini")
        super().make_distribution()


setup(
    name=cfg["lib_name"],
    version=cfg["version"],
    description=cfg["description"],
    long_description=readme,
    long_description_content_type="text/markdown",
    author=cfg["author"],
    author_email=cfg["author_email"],
    url=cfg["git_url"],
    license="Apache-2.0",
    keywords=cfg["keywords"],
    packages=[*find_packages(include=["riskclf", "riskclf.*"]), "riskclf.recipes"],  # which holds no modules
    package_data={"riskclf": ["*.json"], "riskclf.recipes": ["*.yaml"]},
    include_package_data=True,
    python_requires=f">={cfg['min_python']}",
    install_requires=cfg["requirements"].split(),
    extras_require=extras,
    entry_points={
        "console_scripts": cfg["console_scripts"].split(),
        "nbdev": [f"{cfg['lib_path']}={cfg['lib_path']}._modidx:d"],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Image Recognition",
    ],
    cmdclass={"sdist": SourceDist},
    zip_safe=False,
)

"""The plots of `scripts/bench --plots DIR`: one PNG for each thing that grows, both axes logarithmic.

The rule: a plot shows measured points with straight lines between them and nothing else, and beside it lies
`growth.jsonl` with the figures it was drawn from. matplotlib draws; nothing else needs it, so whoever wants plots
installs it (`require` says how), and the set-up of the project stays as it is.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_KINDS = (
    ("backlog_s", "backlog", "seconds until the last post of a backlog was read"),
    ("reconcile_cpu_ms", "reconcile", "CPU of both sides to find 100 differences, ms"),
    ("rss_mb", "memory", "memory of a daemon (VmRSS), MB"),
)


def require() -> None:
    """SystemExit with the line that installs matplotlib, unless it is there."""
    if find_spec("matplotlib") is None:
        raise SystemExit(
            f"plots need matplotlib, which nothing else does: {sys.executable} -m pip install matplotlib"
        )


def draw(lines: Sequence[dict[str, Any]], folder: Path) -> list[Path]:
    """Write the figures and a PNG of each kind into the folder, which is made if need be; the files."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = folder / "growth.jsonl"
    figures.write_text("".join(json.dumps(line) + "\n" for line in lines))
    importlib.import_module("matplotlib").use("Agg")  # draws into files, so it needs no screen
    pyplot = importlib.import_module("matplotlib.pyplot")
    made = [figures]
    for field, name, label in _KINDS:
        points = [(line["posts"], line[field]) for line in lines if field in line]
        figure, axes = pyplot.subplots(figsize=(6, 4), layout="constrained")
        axes.loglog(*zip(*points, strict=True), marker="o")
        for place in points:
            axes.annotate(f"{place[1]:g}", place, textcoords="offset points", xytext=(0, 7), ha="center")
        axes.set(xlabel="posts", ylabel=label, title=name)
        axes.margins(y=0.15)
        axes.grid(which="major", alpha=0.3)
        made.append(folder / f"{name}.png")
        figure.savefig(made[-1], dpi=150)
        pyplot.close(figure)
    return made

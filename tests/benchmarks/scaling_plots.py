"""Pictures of how time or memory grows: one panel each for n, N and K, a curve per stage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

AXES = {"n": "images n", "N": "neurons N", "K": "directions K"}
#: Marks tell stages apart without colour.
MARKS = "osD^v"


def draw(content: dict[str, Any], values: str, exponent: str, label: str, path: Path) -> None:
    """Writes an SVG of `values` of all curves on logarithmic axes, the fitted exponents in the legends."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter, NullLocator, StrMethodFormatter

    stages = list(dict.fromkeys(curve["stage"] for curve in content["curves"]))
    figure = Figure(figsize=(12, 4.6), layout="constrained")
    panels = figure.subplots(1, len(AXES), sharey=True)
    for panel, (axis, name) in zip(panels, AXES.items(), strict=True):
        curves = [curve for curve in content["curves"] if curve["axis"] == axis]
        for curve in curves:
            points = [(x, y) for x, y in zip(curve["values"], curve[values], strict=True) if y > 0]
            if not points:
                continue
            number = stages.index(curve["stage"])
            fitted = curve[exponent]
            slope = f": {fitted['slope']:.2f} ± {fitted['error']:.2f}" if fitted else ": not fitted"
            panel.plot(
                *zip(*points, strict=True),
                marker=MARKS[number % len(MARKS)],
                color=f"C{number}",
                label=f"{curve['stage']}{slope}",
            )
        panel.set(xscale="log", yscale="log", xlabel=name)
        panel.xaxis.set_minor_locator(NullLocator())
        panel.xaxis.set_minor_formatter(NullFormatter())
        panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        if curves:
            panel.set_xticks(curves[0]["values"])
            panel.legend(title="exponent", fontsize="small", loc="upper left")
        panel.grid(alpha=0.3)
        panel.margins(y=0.25)
    panels[0].set_ylabel(label)
    with mpl.rc_context({"svg.hashsalt": "iibench"}):
        figure.savefig(path, metadata={"Date": None})

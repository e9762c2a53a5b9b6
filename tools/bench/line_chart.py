"""Line charts of accuracy by number of labels, one panel per task; PNG or SVG."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SUFFIXES = (".png", ".svg")
_OURS = ("#1a7f4b", "#6cbf8f")
_OTHERS = ("#1f4e9c", "#7d5ba6", "#c1661c", "#8a94a6", "#b33a4b", "#5a9bd4")
_STYLES = {
    "font.family": "sans-serif",
    "svg.fonttype": "none",
    # The same figures give the same file.
    "svg.hashsalt": "tenshot",
}


@dataclass(frozen=True)
class Line:
    """One method: shots -> (mean, half of its 95 % interval or None), in percent."""

    points: Mapping[int, tuple[float, float | None]]
    ours: bool


def line_chart(title: str, panels: Mapping[str, Mapping[str, Line]], path: Path) -> None:
    """panels: title -> method -> line. The suffix, one of SUFFIXES, determines the file format."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    with rc_context(_STYLES):
        figure = Figure(figsize=(max(4.2 * columns, 6.4), 3.6 * rows + 1.1), layout="constrained")
        figure.suptitle(title)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for axis, (name, lines) in zip(axes, panels.items(), strict=False):
            ours, others = iter(_OURS * len(lines)), iter(_OTHERS * len(lines))
            for method, line in lines.items():
                shots = sorted(line.points)
                axis.errorbar(
                    shots,
                    [line.points[n][0] for n in shots],
                    [line.points[n][1] or 0 for n in shots],
                    label=method,
                    color=next(ours if line.ours else others),
                    linewidth=2.4 if line.ours else 1.2,
                    elinewidth=0.8,
                    marker="o",
                    markersize=4 if line.ours else 3,
                    zorder=3 if line.ours else 2,
                )
            axis.set_title(name, fontsize="medium")
            axis.set_xscale("log", base=2)
            ticks = sorted({n for line in lines.values() for n in line.points})
            axis.set_xticks(ticks, [str(n) for n in ticks], minor=False)
            axis.set_xlabel("labels per concept")
            axis.set_ylabel("accuracy, %")
            axis.grid(alpha=0.25)
            low, high = axis.get_ylim()
            axis.set_ylim(max(low, 0), min(high, 100))
        for axis in axes[len(panels) :]:
            axis.set_axis_off()
        figure.legend(
            *axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=columns + 1, frameon=False
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        # No date, so that the same figures give the same file.
        figure.savefig(path, dpi=150, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)

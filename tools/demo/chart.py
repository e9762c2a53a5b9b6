"""Charts in SVG: accuracies as bars, recall and speed as dots."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_WIDTH, _LEFT, _RIGHT = 760, 110, 60
_BAR, _GAP, _TOP = 18, 20, 76
_COLOURS = ("#1a7f4b", "#8a94a6", "#c3c9d4")
_MANY_COLOURS = (
    *("#1a7f4b", "#8a94a6", "#d97706", "#2563eb", "#9333ea", "#db2777", "#0891b2", "#65a30d", "#b91c1c", "#57534e"),
)
_STYLE = "font-family: system-ui, sans-serif; font-size: 13px; fill: #1d2433"


def accuracy_chart(title: str, accuracies: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """accuracies: task -> method -> share of right answers, [0, 1]; the first method is ours."""
    methods = list(next(iter(accuracies.values())))
    height = _TOP + len(accuracies) * (_BAR * len(methods) + _GAP)
    parts = [
        *_sheet(title, height),
        *_legend(methods),
    ]
    for row, (task, values) in enumerate(accuracies.items()):
        top = _TOP + row * (_BAR * len(methods) + _GAP)
        middle = top + _BAR * len(methods) / 2 + 4
        parts.append(f'<text x="{_LEFT - 12}" y="{middle}" text-anchor="end">{escape(task)}</text>')
        for number, method in enumerate(methods):
            parts += _bar(top + number * _BAR, values[method], _COLOURS[number % len(_COLOURS)], strong=number == 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _sheet(title: str, height: int) -> list[str]:
    return [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" style="{_STYLE}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#fbfbfa"/>',
        f'<text x="20" y="30" font-size="16" font-weight="600">{escape(title)}</text>',
    ]


def _legend(methods: Sequence[str]) -> list[str]:
    parts, x = [], _LEFT
    for number, method in enumerate(methods):
        parts.append(f'<rect x="{x}" y="46" width="12" height="12" rx="2" fill="{_COLOURS[number % len(_COLOURS)]}"/>')
        parts.append(f'<text x="{x + 18}" y="57">{escape(method)}</text>')
        x += 40 + 7 * len(method)
    return parts


def _bar(top: float, value: float, colour: str, *, strong: bool) -> list[str]:
    width = value * (_WIDTH - _LEFT - _RIGHT)
    weight = 600 if strong else 400
    return [
        f'<rect x="{_LEFT}" y="{top}" width="{width:.1f}" height="{_BAR - 3}" rx="2" fill="{colour}"/>',
        f'<text x="{_LEFT + width + 6:.1f}" y="{top + 12}" font-size="12" font-weight="{weight}">{value:.3f}</text>',
    ]


def speed_chart(title: str, points: Mapping[tuple[str, str], tuple[float, float]], path: Path) -> None:
    """points: (store, vectors) -> recall in [0, 1] and queries per second, which has a logarithmic axis."""
    stores = list(dict.fromkeys(store for store, _ in points))
    sets = list(dict.fromkeys(vectors for _, vectors in points))
    left, top, width, height = 70, 60, 440, 300
    low = min(0.9, *(recall for recall, _ in points.values()))
    speeds = [speed for _, speed in points.values()]
    decades = range(math.floor(math.log10(min(speeds))), math.ceil(math.log10(max(speeds))) + 1)
    span = max(len(decades) - 1, 1)
    parts = [
        *_sheet(title, top + height + 60),
    ]
    for number, decade in enumerate(decades):
        y = top + height - number * height / span
        parts.append(f'<line x1="{left}" x2="{left + width}" y1="{y:.0f}" y2="{y:.0f}" stroke="#e4e4e0"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4:.0f}" text-anchor="end">{10**decade:,}</text>')
    for tick in (low, (low + 1) / 2, 1):
        x = left + (tick - low) / (1 - low) * width
        parts.append(f'<text x="{x:.0f}" y="{top + height + 22}" text-anchor="middle">{tick:.3f}</text>')
    parts.append(f'<text x="{left + width / 2}" y="{top + height + 44}" text-anchor="middle">recall</text>')
    for (store, vectors), (recall, speed) in points.items():
        x = left + (recall - low) / (1 - low) * width
        y = top + height - (math.log10(speed) - decades[0]) / span * height
        colour = _MANY_COLOURS[stores.index(store) % len(_MANY_COLOURS)]
        filled = colour if sets.index(vectors) % 2 == 0 else "#fbfbfa"
        parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="6" fill="{filled}" stroke="{colour}" stroke-width="2"/>')
    for number, store in enumerate(stores):
        y = top + 10 + 22 * number
        colour = _MANY_COLOURS[number % len(_MANY_COLOURS)]
        parts.append(f'<circle cx="{left + width + 40}" cy="{y}" r="6" fill="{colour}"/>')
        parts.append(f'<text x="{left + width + 54}" y="{y + 4}">{escape(store)}</text>')
    for number, vectors in enumerate(sets):
        y = top + 20 + 22 * (len(stores) + number)
        filled = "#1d2433" if number % 2 == 0 else "#fbfbfa"
        parts.append(
            f'<circle cx="{left + width + 40}" cy="{y}" r="6" fill="{filled}" stroke="#1d2433" stroke-width="2"/>'
        )
        parts.append(f'<text x="{left + width + 54}" y="{y + 4}">{escape(vectors)}</text>')
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")

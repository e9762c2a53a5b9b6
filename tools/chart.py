"""Accuracies of several methods on several tasks as bars, in SVG."""

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

_WIDTH, _LEFT, _RIGHT = 760, 110, 60
_BAR, _GAP, _TOP = 18, 20, 76
_COLOURS = ("#1a7f4b", "#8a94a6", "#c3c9d4")
_STYLE = "font-family: system-ui, sans-serif; font-size: 13px; fill: #1d2433"


def accuracy_chart(title: str, accuracies: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """accuracies: task -> method -> share of right answers, [0, 1]; the first method is ours."""
    methods = list(next(iter(accuracies.values())))
    height = _TOP + len(accuracies) * (_BAR * len(methods) + _GAP)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" style="{_STYLE}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{height}" rx="8" fill="#fbfbfa"/>',
        f'<text x="20" y="30" font-size="16" font-weight="600">{escape(title)}</text>',
        *_legend(methods),
    ]
    for row, (task, values) in enumerate(accuracies.items()):
        top = _TOP + row * (_BAR * len(methods) + _GAP)
        middle = top + _BAR * len(methods) / 2 + 4
        parts.append(f'<text x="{_LEFT - 12}" y="{middle}" text-anchor="end">{escape(task)}</text>')
        for place, method in enumerate(methods):
            parts += _bar(top + place * _BAR, values[method], _COLOURS[place % len(_COLOURS)], strong=place == 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([*parts, "</svg>"]) + "\n")


def _legend(methods: Sequence[str]) -> list[str]:
    parts, x = [], _LEFT
    for place, method in enumerate(methods):
        parts.append(f'<rect x="{x}" y="46" width="12" height="12" rx="2" fill="{_COLOURS[place % len(_COLOURS)]}"/>')
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

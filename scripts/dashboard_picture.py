"""Draw docs/platform/dashboard.svg: the panels of monitoring/dashboard.json with the data of a Prometheus.

Usage: python scripts/dashboard_picture.py http://127.0.0.1:9090 [SECONDS]      default: the last 300 seconds

This is not Grafana. The script draws the places, titles and queries of the dashboard in its own simple way.
"""

import json
import sys
import time
import urllib.parse
import urllib.request
from html import escape
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DASHBOARD = ROOT / "monitoring" / "dashboard.json"
PICTURE = ROOT / "docs" / "platform" / "dashboard.svg"
COLUMN, ROW, GAP, POINTS = 50, 30, 4, 120
COLORS = ("#3274d9", "#e0752d", "#3f9142", "#a352cc", "#c4162a", "#8a6d00")
Series = list[tuple[str, list[tuple[float, float]]]]


def ask(server: str, query: str, legend: str, seconds: float) -> Series:
    """Return legend and points of each series of a query over the last seconds."""
    end = time.time()
    words = {"query": query, "start": end - seconds, "end": end, "step": seconds / POINTS}
    url = f"{server}/api/v1/query_range?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - the user names the server
        found = json.load(answer)["data"]["result"]
    series = []
    for each in found:
        name = legend
        for label, value in each["metric"].items():
            name = name.replace(f"{{{{{label}}}}}", value)
        points = [(float(at) - end + seconds, float(value)) for at, value in each["values"]]
        # NaN, the only value that differs from itself, is a gap.
        series.append((name, [point for point in points if point[1] == point[1]]))
    return sorted(series)


def shown(value: float, unit: str) -> str:
    """Return a value with its unit."""
    if unit == "percentunit":
        return f"{value:.0%}"
    if unit == "s":
        return f"{value:.0f} s" if abs(value) < 120 else f"{value / 60:.1f} min"  # noqa: PLR2004
    if unit == "bytes":
        return f"{value / 2**30:.1f} GiB"
    return f"{value / 1000:.1f}k" if abs(value) >= 10_000 else f"{value:.4g}"  # noqa: PLR2004


def text(x: float, y: float, words: str, size: int = 11, **style: str) -> str:
    """Return a text of the picture."""
    more = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in style.items())
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{size}"{more}>{escape(words)}</text>'


def lines(series: Series, unit: str, seconds: float, box: tuple[float, float, float, float]) -> list[str]:
    """Return a line for each series, its legend, and the smallest and the largest value."""
    x, y, width, height = box
    values = [value for _, points in series for _, value in points]
    low, high = min(values), max(values)
    room = (high - low) or 1.0
    left, top, wide, high_px = x + 48, y + 26, width - 56, height - 52
    parts = [text(x + 4, top + 8, shown(high, unit), 10), text(x + 4, top + high_px, shown(low, unit), 10)]
    for number, (name, points) in enumerate(series[: len(COLORS)]):
        path = " ".join(
            f"{left + wide * at / seconds:.1f},{top + high_px * (1 - (value - low) / room):.1f}" for at, value in points
        )
        parts.append(f'<polyline points="{path}" fill="none" stroke="{COLORS[number]}" stroke-width="1.5"/>')
        parts.append(text(left + number * wide / len(series), y + height - 8, name, 10, fill=COLORS[number]))
    return parts


def bars(series: Series, unit: str, box: tuple[float, float, float, float]) -> list[str]:
    """Return a bar from 0 to 1 for the last value of each series."""
    x, y, width, _ = box
    parts = []
    for number, (name, points) in enumerate(series):
        value, top = points[-1][1], y + 34 + 34 * number
        for length, color in ((1.0, "#e7e7e7"), (value, COLORS[0])):
            parts.append(
                f'<rect x="{x + 160}" y="{top}" width="{(width - 230) * length:.0f}" height="20" fill="{color}"/>'
            )
        parts += [text(x + 8, top + 14, name), text(x + width - 60, top + 14, shown(value, unit))]
    return parts


def panel(drawn: dict[str, Any], server: str, seconds: float) -> list[str]:
    """Return the parts of one panel."""
    place, unit = drawn["gridPos"], drawn["fieldConfig"]["defaults"]["unit"]
    x, y = place["x"] * COLUMN + GAP, place["y"] * ROW + GAP
    width, height = place["w"] * COLUMN - 2 * GAP, place["h"] * ROW - 2 * GAP
    parts = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="#fff" stroke="#d0d0d0"/>']
    parts.append(text(x + 8, y + 18, drawn["title"], 12, font_weight="bold"))
    series: Series = []
    for target in drawn["targets"]:
        query = target["expr"].replace("$namespace", ".*").replace("$run", ".*")
        legend = target["legendFormat"] + (" {{strategy}}" if drawn["type"] == "table" else "")
        series += [each for each in ask(server, query, legend, seconds) if each[1]]
    if not series:
        return [*parts, text(x + width / 2 - 25, y + height / 2, "no data", fill="#777")]
    if drawn["type"] == "stat":
        return [*parts, text(x + 8, y + height / 2 + 20, shown(series[0][1][-1][1], unit), 26)]
    if drawn["type"] == "table":
        return parts + [text(x + 8, y + 44 + 20 * number, name) for number, (name, _) in enumerate(series)]
    if drawn["type"] == "bargauge":
        return parts + bars(series, unit, (x, y, width, height))
    return parts + lines(series, unit, seconds, (x, y, width, height))


def main(server: str, seconds: float) -> None:
    """Draw all panels."""
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    height = max(each["gridPos"]["y"] + each["gridPos"]["h"] for each in panels) * ROW
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {24 * COLUMN} {height}" font-family="sans-serif">']
    parts.append('<rect width="100%" height="100%" fill="#f4f5f5"/>')
    for each in panels:
        parts += panel(each, server, seconds)
    PICTURE.write_text("\n".join([*parts, "</svg>"]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(sys.argv[1], float(sys.argv[2]) if len(sys.argv) > 2 else 300.0)  # noqa: PLR2004

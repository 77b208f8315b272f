"""A bar chart as SVG: one bar a row, the value beside it. Readable on light and dark pages."""
from xml.sax.saxutils import escape

WIDTH, LABEL, ROW, HEAD, GAP = 720, 190, 26, 44, 8
OURS, THEIRS, FLOOR = "#2a7de1", "#8a929c", "#c9a227"


def number(value):
    """Three or four digits that matter."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    size = abs(value)
    if size >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.095 else f"{value:.3g}"


def colour(name):
    return OURS if name.startswith("xylem") else FLOOR if name.startswith("floor") else THEIRS


def bars(title, values):
    """values: name -> number, drawn in that order."""
    longest = max(values.values()) or 1
    room = WIDTH - LABEL - 90
    height = HEAD + ROW * len(values) + GAP
    lines = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
             f'width="{WIDTH}" height="{height}" font-family="sans-serif" font-size="14">',
             f"<title>{escape(title)}</title>",
             '<rect width="100%" height="100%" rx="6" fill="#ffffff"/>',
             f'<text x="12" y="26" font-size="16" font-weight="bold" fill="#1f2328">{escape(title)}'
             "</text>"]
    for n, (name, value) in enumerate(values.items()):
        y, length = HEAD + ROW * n, max(1.0, value / longest * room)
        lines += [
            f'<text x="{LABEL - 10}" y="{y + 16}" text-anchor="end" fill="#1f2328">{escape(name)}'
            "</text>",
            f'<rect x="{LABEL}" y="{y + 2}" width="{length:.1f}" height="{ROW - 8}" rx="2" '
            f'fill="{colour(name)}"/>',
            f'<text x="{LABEL + length + 8:.1f}" y="{y + 16}" fill="#1f2328">{number(value)}</text>']
    return "\n".join([*lines, "</svg>"]) + "\n"

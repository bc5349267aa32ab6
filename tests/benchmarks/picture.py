"""The picture of throughput over concurrency, as an SVG."""

from __future__ import annotations

from html import escape

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 64, 250, 24, 48
COLOURS = ("#5b5b5b", "#8c8c8c", "#d9a400", "#2a9d5c", "#e07b39", "#b5408f", "#3f7fd9", "#1d3f8f")


def throughput(delay: float, parts: dict[int, dict[str, float]]) -> str:
    """Starts a second by what is in flight, a line for each way, and the limit.

    Args:
        delay: the seconds that the server takes over a start.
        parts: for each number in flight, what part of the limit each way comes to.
    """
    numbers = sorted(parts)
    most = numbers[-1] / delay

    def point(number: float, rate: float) -> str:
        x = LEFT + number / numbers[-1] * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - rate / most * (HEIGHT - TOP - BOTTOM)
        return f"{x:.1f},{y:.1f}"

    def text(at: str, words: str, more: str = "") -> str:
        x, y = at.split(",")
        return f'<text x="{x}" y="{y}" {more}>{escape(words)}</text>'

    font = 'font-family="sans-serif" font-size="12"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" {font}>',
        "<title>Starts a second by how many are in flight</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    right = LEFT + (WIDTH - LEFT - RIGHT)
    for fifth in range(6):
        rate = most * fifth / 5
        y = float(point(0, rate).split(",")[1])
        lines.append(f'<path d="M{LEFT},{y:.1f} H{right}" stroke="#e4e4e4"/>')
        lines.append(text(f"{LEFT - 8},{y + 4:.1f}", f"{rate:.0f}", 'text-anchor="end"'))
    for number in numbers:
        x = point(number, 0).split(",")[0]
        lines.append(text(f"{x},{HEIGHT - BOTTOM + 18}", str(number), 'text-anchor="middle"'))
    middle = LEFT + (WIDTH - LEFT - RIGHT) / 2
    lines.append(text(f"{middle},{HEIGHT - 10}", "in flight", 'text-anchor="middle"'))
    lines.append(text(f"{LEFT - 52},{TOP - 8}", "starts a second"))

    limit = f"the limit: in flight / {1000 * delay:g} ms"
    drawn = [(1.0, limit, "#555555", dict.fromkeys(numbers, 1.0), ' stroke-dasharray="5 4"')]
    for colour, way in zip(COLOURS, parts[numbers[0]], strict=True):
        drawn.append((parts[numbers[-1]][way], way, colour, {n: parts[n][way] for n in numbers}, ""))
    drawn.sort(key=lambda line: -line[0])
    below = float(TOP)
    for end, words, colour, part, dashes in drawn:
        path = " ".join(point(number, part[number] * number / delay) for number in numbers)
        lines.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
        # Names stand at the ends of their lines, and make room for one another.
        ends_at = float(point(numbers[-1], end * most).split(",")[1])
        below = max(ends_at + 4, below)
        lines.append(f'<path d="M{right},{ends_at:.1f} L{right + 14},{below - 4:.1f}" stroke="{colour}"/>')
        lines.append(text(f"{right + 18},{below:.1f}", words, f'fill="{colour}"'))
        below += 16
    return "\n".join([*lines, "</svg>", ""])

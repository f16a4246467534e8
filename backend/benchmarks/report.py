"""The figures as tables and plots: medians, as ratios to the limit, with the lowest and the highest round."""

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

from . import BenchmarkError
from .measure import Heavy, Sample
from .servers import PEERS

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"

type Rounds = Mapping[str, Sequence[Sample]]

type Samples = Mapping[str, Rounds]
"""The rounds of each endpoint and peer."""

COLORS = {"pgbench": "#000000", "shop, open": "#2f9e77"} | dict(
    zip(
        [peer.name for peer in PEERS],
        [
            "#0b6e4f",
            "#7cc6a4",
            "#222222",
            "#2f9e77",
            "#888888",
            "#4c78a8",
            "#e45756",
            "#f58518",
            "#b279a2",
            "#d4a6c8",
        ],
        strict=True,
    )
)


@dataclass(frozen=True)
class Results:
    """What was measured with one size of data, by endpoint and peer; memory by peer."""

    size: str
    contents: str
    loaded: Samples
    alone: Samples
    memory: Mapping[str, Sequence[str]]
    heavy: Mapping[str, Mapping[str, Heavy]]


class Spread(NamedTuple):
    """The median of some rounds, the lowest and the highest."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        digits = 2 if self.high < 10 else 1 if self.high < 100 else 0
        return f"{self.median:.{digits}f} ({self.low:.{digits}f}–{self.high:.{digits}f})"


def ratio(values: Sequence[float], reference: Sequence[float]) -> Spread:
    """Return the values as ratios to the reference's of the same round."""
    ratios = [value / other for value, other in zip(values, reference, strict=True)]
    return Spread(median(ratios), min(ratios), max(ratios))


def table(corner: str, columns: Sequence[str], rows: Mapping[str, Sequence[object]]) -> str:
    """Return a Markdown table with a named row per entry."""
    lines = [[corner, *columns], ["---"] + ["--:"] * len(columns)]
    lines += [[name, *map(str, cells)] for name, cells in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def bars(title: str, groups: Mapping[str, Mapping[str, Spread]]) -> str:
    """Return an SVG: per group a bar for each name, as long as its median, with a line over its rounds."""
    scale = 500 / max(spread.high for group in groups.values() for spread in group.values())
    y, parts = 30, [f'<text x="10" y="18" font-weight="bold">{html.escape(title)}</text>']
    for group, spreads in groups.items():
        parts.append(f'<text x="10" y="{y + 12}">{html.escape(group)}</text>')
        for name, spread in spreads.items():
            end, low, high = (150 + scale * value for value in spread)
            label = f"{html.escape(name)} {spread.median:.2f}"
            parts += [
                f'<rect x="150" y="{y}" width="{end - 150:.1f}" height="13" fill="{COLORS[name]}"/>',
                f'<path d="M{low:.1f} {y + 7}H{high:.1f}" stroke="#999" stroke-width="2"/>',
                f'<text x="{max(end, high) + 5:.1f}" y="{y + 11}">{label}</text>',
            ]
            y += 15
        y += 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" width="800" height="{y}" font-size="11"'
    parts = [f'{head} font-family="sans-serif">', '<rect width="100%" height="100%" fill="#fff"/>', *parts]
    return "\n".join([*parts, "</svg>\n"])


def check_page(page: Path) -> None:
    """Raise BenchmarkError unless the page has the two marks, in order."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    if not -1 < text.find(BEGIN) < text.find(END):
        message = f"{page} has no {BEGIN} … {END} to write between"
        raise BenchmarkError(message)


def publish(page: Path, section: str, plots: Mapping[str, str]) -> None:
    """Write the section between the page's two marks, and the plots into performance/ beside it."""
    check_page(page)
    before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    after = rest.partition(END)[2]
    page.write_text(f"{before}{BEGIN}\n\n{section.strip()}\n\n{END}{after}", encoding="utf-8")
    directory = page.parent / "performance"
    directory.mkdir(exist_ok=True)
    for name, plot in plots.items():
        (directory / f"{name}.svg").write_text(plot, encoding="utf-8")


def per_second(sample: Sample) -> float:
    """Return the requests per second."""
    return sample.per_second


def per_cpu_second(sample: Sample) -> float:
    """Return the requests per second of CPU time, the server's and PostgreSQL's."""
    return 1 / sample.cpu


def ratios(samples: Samples, figure: Callable[[Sample], float]) -> dict[str, dict[str, Spread]]:
    """Return this figure of each peer as ratio to the limit's, by endpoint."""
    return {
        endpoint: {
            peer: ratio([figure(sample) for sample in rounds], [figure(sample) for sample in peers["limit"]])
            for peer, rounds in peers.items()
        }
        for endpoint, peers in samples.items()
    }


def by_peer(corner: str, cells: Mapping[str, Mapping[str, object]]) -> str:
    """Return a table with a row per peer of cells that come by endpoint; a missing one is a dash."""
    asked = [peer.name for peer in PEERS if any(peer.name in row for row in cells.values())]
    rows = {name: [row.get(name, "–") for row in cells.values()] for name in asked}
    return table(corner, [f"`{endpoint}`" for endpoint in cells], rows)


def throughput(samples: Samples, figure: Callable[[Sample], float]) -> str:
    """Return the ratios of this figure as a table; the limit's own row is the figure itself."""
    cells: dict[str, dict[str, object]] = {name: dict(row) for name, row in ratios(samples, figure).items()}
    for endpoint, row in cells.items():
        row["limit"] = f"{median(figure(sample) for sample in samples[endpoint]['limit']):.0f}/s"
    return by_peer("", cells)


def latency(samples: Samples) -> str:
    """Return p50 / p99 in milliseconds as a table."""
    return by_peer(
        "ms",
        {
            endpoint: {
                peer: f"{median(s.p50_ms for s in rounds):.2f} / {median(s.p99_ms for s in rounds):.2f}"
                for peer, rounds in peers.items()
            }
            for endpoint, peers in samples.items()
        },
    )


def times(requests: Mapping[str, Heavy]) -> dict[str, Spread]:
    """Return how long a request takes each peer, as ratio to the limit."""
    seconds = {peer: [request.seconds for request in heavy.requests] for peer, heavy in requests.items()}
    return {peer: ratio(rounds, seconds["limit"]) for peer, rounds in seconds.items()}


def heavy_table(requests: Mapping[str, Heavy]) -> str:
    """Return what one request at a time costs each peer as a table."""
    relative = times(requests)
    columns = ["time / limit", "s", "first byte s", "CPU s", "worker + MiB", "PostgreSQL + MiB"]
    return table(
        "",
        columns,
        {
            peer: [
                relative[peer],
                *(
                    f"{median(getattr(request, name) for request in heavy.requests):.3f}"
                    for name in ("seconds", "first_byte", "cpu")
                ),
                f"{heavy.worker_mib:.0f}",
                f"{heavy.postgres_mib:.0f}",
            ]
            for peer, heavy in requests.items()
        },
    )


def size_section(results: Results) -> tuple[str, dict[str, str]]:
    """Return what was measured with one size of data: as Markdown, and as plots by name."""
    size = results.size
    cpu = ratios(results.loaded, per_cpu_second)
    plots = {size: bars(f"{size}: requests per CPU second, limit = 1 (longer is better)", cpu)}
    parts = [
        f"### {size.capitalize()}: {results.contents}",
        f"![Requests per CPU second, {size} data](performance/{size}.svg)",
        "Requests per second over 8 connections, as ratio to `limit`'s:",
        throughput(results.loaded, per_second),
        "Requests per second of CPU time (server and PostgreSQL together), as ratio to `limit`'s:",
        throughput(results.loaded, per_cpu_second),
        "One request at a time, p50 / p99:",
        latency(results.alone),
        "Memory after that load, in MiB (three workers):",
        table("", ["largest worker, peak", "all processes, PSS"], results.memory),
    ]
    if results.heavy:
        relative = {endpoint: times(requests) for endpoint, requests in results.heavy.items()}
        plots[f"{size}-heavy"] = bars(f"{size}: time of one request, limit = 1 (shorter is better)", relative)
        parts.append(f"![Time of one request, {size} data](performance/{size}-heavy.svg)")
    for endpoint, requests in results.heavy.items():
        parts += [f"`{endpoint}`, one request at a time, one worker:", heavy_table(requests)]
    return "\n\n".join(part.strip() for part in parts), plots


LIMITS = {
    "checkout": ("pgbench", "`checkout`: three lines out of 10,000 products"),
    "hot": ("pgbench", "`hot`: a checkout of one line, the same product for all"),
    "cart": ("limit", "`cart`: PUT of a line, each time with another quantity"),
    "orders": ("shop, open", "`orders`: `customer/<id>/orders/` with a token"),
}
"""What is sold, in the page's order: what each is compared with, and its heading."""


def selling_table(peers: Rounds, limit: str) -> str:
    """Return what a request costs each peer as a table; the limit's own ratios are the figures themselves."""
    cells = {}
    for peer, rounds in peers.items():
        figures: list[object] = []
        for figure in (per_cpu_second, per_second):
            values, others = ([figure(sample) for sample in samples] for samples in (rounds, peers[limit]))
            figures.append(f"{median(values):.0f}/s" if peer == limit else ratio(values, others))
        server = median(sample.cpu - sample.postgres_cpu for sample in rounds)
        postgres = median(sample.postgres_cpu for sample in rounds)
        p50, p99 = median(s.p50_ms for s in rounds), median(s.p99_ms for s in rounds)
        figures += [f"{server * 1e3:.2f} + {postgres * 1e3:.2f}", f"{p50:.1f} / {p99:.1f}"]
        cells[peer] = figures
    columns = [
        f"per CPU second / {limit}",
        f"per second / {limit}",
        "CPU ms, server + PostgreSQL",
        "p50 / p99 ms",
    ]
    return table("", columns, cells)


def against(scenario: str, other: str, samples: Samples) -> Spread:
    """Return the shop's requests per CPU second as ratio to another's."""
    shop, others = (
        [per_cpu_second(sample) for sample in samples[scenario][name]] for name in ("shop", other)
    )
    return ratio(shop, others)


def tail(scenario: str, samples: Samples) -> Spread:
    """Return the shop's p99 as ratio to its p50."""
    rounds = samples[scenario]["shop"]
    return ratio([sample.p99_ms for sample in rounds], [sample.p50_ms for sample in rounds])


AIMS: Mapping[str, tuple[str, float, Callable[[Samples], Spread]]] = {
    "a checkout, by CPU, to pgbench": ("at least", 0.5, partial(against, "checkout", "pgbench")),
    "a hot one": ("at least", 0.7, partial(against, "hot", "pgbench")),
    "a checkout, by CPU, to plain Django": ("at least", 2, partial(against, "checkout", "plain")),
    "a hot one, to plain Django": ("at least", 2, partial(against, "hot", "plain")),
    "a checkout, by CPU, to FastAPI treated alike": (
        "at least",
        1,
        partial(against, "checkout", "fastapi-close"),
    ),
    "a hot one, to FastAPI treated alike": ("at least", 1, partial(against, "hot", "fastapi-close")),
    "a checkout's p99 to its p50": ("at most", 5, partial(tail, "checkout")),
    "a hot one's": ("at most", 5, partial(tail, "hot")),
    "a change of a cart, by CPU, to the limit": ("at least", 0.6, partial(against, "cart", "limit")),
    "a read with a token, by CPU, to an open one": (
        "at least",
        0.85,
        partial(against, "orders", "shop, open"),
    ),
}
"""What was aimed at, and how far it is from there."""


def aims_table(sold: Mapping[str, Samples]) -> str:
    """Return the aims, with what became of each by size of the shop."""
    cells = {}
    for what, (least, aim, figure) in AIMS.items():
        found = [figure(samples) for samples in sold.values()]
        met = [spread.median >= aim if least == "at least" else spread.median <= aim for spread in found]
        cells[what] = [
            f"{least} {aim:g}",
            *(f"{s}{'' if is_met else ' – short'}" for s, is_met in zip(found, met, strict=True)),
        ]
    first = next(iter(sold.values()))
    for peer in ("shop", "pgbench"):
        before = [sample.cpu for sample in first["checkout"][peer]]
        grown = [str(ratio([s.cpu for s in samples["checkout"][peer]], before)) for samples in sold.values()]
        cells[f"{peer}: CPU of a checkout to that in the smallest shop"] = ["1", *grown]
    return table("aim", ["", *sold], cells)


def selling_section(sold: Mapping[str, Samples]) -> tuple[str, dict[str, str]]:
    """Return what was sold, by size of the shop: as Markdown, and as plots by name."""
    parts = ["### Selling", "16 clients. Beside what was aimed at:", aims_table(sold)]
    plots = {}
    for size, samples in sold.items():
        cpu = {
            scenario: {
                peer: ratio([*map(per_cpu_second, rounds)], [*map(per_cpu_second, samples[scenario][limit])])
                for peer, rounds in samples[scenario].items()
            }
            for scenario, (limit, _) in LIMITS.items()
        }
        plots[f"{size}-selling"] = bars(
            f"{size}: requests per CPU second, the limit = 1 (longer is better)", cpu
        )
        parts += [
            f"#### Selling in the {size} shop",
            f"![Requests per CPU second, {size} shop](performance/{size}-selling.svg)",
        ]
        for scenario, (limit, heading) in LIMITS.items():
            parts += [f"{heading}:", selling_table(samples[scenario], limit)]
    return "\n\n".join(part.strip() for part in parts), plots

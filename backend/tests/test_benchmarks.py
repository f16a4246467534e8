"""What the benchmark computes: wrk's figures, ratios of rounds, tables, and what is replaced on the page."""

from pathlib import Path

import pytest

from benchmarks import BenchmarkError
from benchmarks.__main__ import LIKE, SEARCH, agrees, words_of
from benchmarks.measure import Load, Sample, parse_wrk
from benchmarks.report import (
    AIMS,
    aims_table,
    check_page,
    latency,
    per_cpu_second,
    publish,
    ratio,
    selling_section,
    selling_table,
    table,
    throughput,
)
from benchmarks.selling import SCENARIOS, pgbench_script
from benchmarks.servers import PEERS

WRK = "Running 1s test @ http://127.0.0.1:8000\n  1 threads and 8 connections\n"


def sample(per_second: float, cpu: float, p50_ms: float = 1.0, p99_ms: float = 2.0) -> Sample:
    return Sample(1000, per_second, cpu, cpu / 4, p50_ms, p99_ms, others=0.0)


def test_the_last_line_of_wrk_is_read() -> None:
    output = f"{WRK}result\t2500\t1250000\t1875.0\t4210\t0\t0\n"
    assert parse_wrk(output) == Load(requests=2500, seconds=1.25, p50_ms=1.875, p99_ms=4.21)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("result\t2500\t1000000\t1.0\t2.0\t3\t0", "2500 requests, 3 answered with an error, 0 not at all"),
        ("result\t2500\t1000000\t1.0\t2.0\t0\t1", "2500 requests, 0 answered with an error, 1 not at all"),
        ("result\t0\t1000000\t0\t0\t0\t0", "0 requests, 0 answered with an error, 0 not at all"),
        ("unable to connect", "wrk says"),
    ],
)
def test_an_answer_that_is_no_good_one_ends_the_run(line: str, message: str) -> None:
    with pytest.raises(BenchmarkError, match=message):
        parse_wrk(f"{WRK}{line}\n")


def test_no_output_of_wrk_ends_the_run() -> None:
    with pytest.raises(BenchmarkError, match="wrk says ''"):
        parse_wrk("")


def test_a_ratio_compares_the_samples_of_the_same_round() -> None:
    """The ratio of the medians would be 300 / 200 = 1.5."""
    spread = ratio([100, 300, 900], [200, 100, 300])
    assert spread == (3.0, 0.5, 3.0)
    assert str(spread) == "3.00 (0.50–3.00)"


def test_the_median_of_an_even_number_of_rounds_is_between_the_two_in_the_middle() -> None:
    assert ratio([1, 2, 4, 100], [1, 1, 1, 1]) == (3.0, 1.0, 100.0)


@pytest.mark.parametrize(
    ("values", "text"),
    [([5, 9.994], "7.50 (5.00–9.99)"), ([12], "12.0 (12.0–12.0)"), ([123], "123 (123–123)")],
)
def test_a_large_ratio_has_fewer_decimals(values: list[float], text: str) -> None:
    assert str(ratio(values, [1] * len(values))) == text


def test_a_table_has_a_row_per_name() -> None:
    assert (
        table("ms", ["a", "b"], {"shop": [1, "–"]})
        == "| ms | a | b |\n| --- | --: | --: |\n| shop | 1 | – |\n"
    )


def test_throughput_is_relative_to_the_limit_whose_row_is_absolute() -> None:
    samples = {
        "order/<id>/": {
            "shop": [sample(1000, 0.002), sample(1200, 0.004)],
            "limit": [sample(2000, 0.001), sample(2000, 0.001)],
        },
        "products/": {"limit": [sample(1000, 0.004)], "shop, cached": [sample(3000, 0.001)]},
    }
    by_cpu = throughput(samples, per_cpu_second).splitlines()
    assert by_cpu[0] == "|  | `order/<id>/` | `products/` |"
    assert by_cpu[2:] == [
        "| shop | 0.38 (0.25–0.50) | – |",
        "| shop, cached | – | 4.00 (4.00–4.00) |",
        "| limit | 1000/s | 250/s |",
    ]


def test_latency_is_the_median_of_the_rounds() -> None:
    rounds = [sample(1, 1, p50_ms=0.5, p99_ms=2), sample(1, 1, p50_ms=0.7, p99_ms=9), sample(1, 1, 0.6, 3)]
    assert "| shop | 0.60 / 3.00 |\n" in latency({"products/": {"shop": rounds}})


def test_what_is_sold_is_relative_to_its_limit() -> None:
    peers = {"shop": [sample(100, 0.004, 10, 20)], "pgbench": [sample(400, 0.002, 5, 9)]}
    assert selling_table(peers, "pgbench").splitlines()[2:] == [
        "| shop | 0.50 (0.50–0.50) | 0.25 (0.25–0.25) | 3.00 + 1.00 | 10.0 / 20.0 |",
        "| pgbench | 500/s | 400/s | 1.50 + 0.50 | 5.0 / 9.0 |",
    ]


def sold(shop: float, others: float) -> dict[str, dict[str, list[Sample]]]:
    """Every scenario, with these CPU seconds of a request."""
    return {
        scenario: {peer: [sample(100, shop if peer == "shop" else others, 10, 60)] for peer in peers}
        for scenario, peers in SCENARIOS.items()
    }


def test_an_aim_that_is_missed_is_called_short() -> None:
    lines = aims_table({"small": sold(0.002, 0.001), "large": sold(0.003, 0.003)}).splitlines()
    assert len(lines) == 2 + len(AIMS) + 2
    assert lines[0] == "| aim |  | small | large |"
    assert (
        lines[2] == "| a checkout, by CPU, to pgbench | at least 0.5 | 0.50 (0.50–0.50) | 1.00 (1.00–1.00) |"
    )
    assert lines[3] == "| a hot one | at least 0.7 | 0.50 (0.50–0.50) – short | 1.00 (1.00–1.00) |"
    assert lines[8].endswith("| at most 5 | 6.00 (6.00–6.00) – short | 6.00 (6.00–6.00) – short |")
    assert lines[-2].startswith("| shop: CPU of a checkout")
    assert lines[-2].endswith("| 1 | 1.00 (1.00–1.00) | 1.50 (1.50–1.50) |")


def test_each_size_of_the_shop_has_a_plot_of_what_is_sold() -> None:
    section, plots = selling_section({"small": sold(0.001, 0.001), "large": sold(0.001, 0.001)})
    assert list(plots) == ["small-selling", "large-selling"]
    assert all(f"performance/{plot}.svg" in section for plot in plots)


def test_pgbench_gets_a_checkout_in_one_transaction() -> None:
    first, second, *statements = pgbench_script().split("\n")
    assert (first, second) == ("\\set customer_id :client_id + 1 + 16 * :number", "\\set number :number + 1")
    text = "\n".join(statements)
    assert text.startswith("BEGIN;")
    assert text.endswith("COMMIT;\n")
    assert "%(" not in text
    assert text.count("\\gset") == 5


PEER = {peer.name: peer for peer in PEERS}
VIOLIN, TRUMPET = {"name": "Oak Violin A-293", "price": "1.00"}, {"name": "Oak Trumpet A-29", "price": "2.00"}
FOUND = f"{SEARCH}Violin+A-29&limit=24"


def test_a_search_is_a_word_of_a_name_and_the_beginning_of_the_next() -> None:
    assert words_of("Handmade Wooden Computer") == "Wooden Comp"


@pytest.mark.parametrize("content", [[], [TRUMPET, VIOLIN], [{**VIOLIN, "price": "1"}], 500])
def test_an_answer_that_is_not_the_shop_s_does_not_agree(content: object) -> None:
    assert agrees(PEER["limit"], FOUND, [VIOLIN, TRUMPET], [VIOLIN, TRUMPET])
    assert not agrees(PEER["limit"], FOUND, content, [VIOLIN, TRUMPET])
    assert not agrees(PEER[LIKE], "products/", content, [VIOLIN, TRUMPET])


def test_who_searches_by_like_has_to_find_what_is_named_as_it_is_typed() -> None:
    """It may find more, in another order, and need not find what only the shop's search can."""
    assert agrees(PEER[LIKE], FOUND, [{"name": "Black Wool"}, VIOLIN], [TRUMPET, VIOLIN])
    for content in ([], [TRUMPET], [{**VIOLIN, "price": "1"}], 500):
        assert not agrees(PEER[LIKE], FOUND, content, [TRUMPET, VIOLIN])
    assert not agrees(PEER[LIKE], FOUND, [TRUMPET], [TRUMPET])


def test_the_text_around_the_results_stays(tmp_path: Path) -> None:
    page = tmp_path / "PERFORMANCE.md"
    page.write_text("before\n<!-- benchmarks: begin -->\nold\n<!-- benchmarks: end -->\nafter\n")
    publish(page, "new\n", {"small": "<svg/>"})
    assert (
        page.read_text() == "before\n<!-- benchmarks: begin -->\n\nnew\n\n<!-- benchmarks: end -->\nafter\n"
    )
    assert (tmp_path / "performance" / "small.svg").read_text() == "<svg/>"


@pytest.mark.parametrize("text", [None, "", "<!-- benchmarks: end --> <!-- benchmarks: begin -->"])
def test_a_page_without_the_marks_is_refused(tmp_path: Path, text: str | None) -> None:
    page = tmp_path / "PERFORMANCE.md"
    if text is not None:
        page.write_text(text)
    with pytest.raises(BenchmarkError, match="to write between"):
        check_page(page)

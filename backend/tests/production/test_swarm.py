"""compose.prod.yml deployed to a Swarm: it serves, and a new release replaces the replicas under load."""

import time
from collections.abc import Iterator

import pytest

from .conftest import FaultTable
from .stack import Compose, Load, Swarm, run, running

pytestmark = [pytest.mark.docker, pytest.mark.slow]

PATHS = [f"/shop/api/{name}/" for name in ("products", "order/1", "customer/1/cart", "customer-stats")]


@pytest.fixture
def swarm(shop: Compose) -> Iterator[Swarm]:
    """A Swarm; the other stack stands still meanwhile, as the checks of both would take half of a machine."""
    shop.compose("pause")
    try:
        with running(Swarm) as swarm:
            yield swarm
    finally:
        shop.compose("unpause")


def test_a_rolling_replacement_costs_no_request(swarm: Swarm, faults: FaultTable) -> None:
    before = set(swarm.containers("web"))
    with Load(swarm, PATHS) as load:
        time.sleep(1)
        run("docker", "service", "update", "--force", f"{swarm.project}_web")
    after = set(swarm.containers("web"))
    assert (len(before), len(after), before & after) == (3, 3, set())
    assert load.failed == []
    faults.add("All three web replicas replaced, one by one", load)

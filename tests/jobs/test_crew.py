"""The workers of a run, by what a driver sees of them."""

from __future__ import annotations

import pytest

from polythink.errors import ClusterError
from polythink.jobs.cluster import cluster
from polythink.jobs.crew import Crew
from polythink.records import SampleKey
from polythink.workers.governor import PoolSpec
from polythink.workers.pool import Membership, Rules
from polythink.workers.tasks import Endpoint, Task

pytestmark = pytest.mark.usefixtures("one_ray")

ROUNDS = 60  # of half a second at most: a worker that could not take its tasks has been heard long before


class Unreadable:
    """What leaves the driver but cannot arrive."""

    def __reduce__(self) -> tuple[type[int], tuple[str]]:
        return int, ("no number",)


def test_tasks_that_do_not_reach_their_worker_end_the_run_instead_of_being_waited_for() -> None:
    task = Task(
        key=SampleKey(problem_id="a", arm_id="plain", sample_index=0),
        sample_id="a",
        number=1,
        body={"model": Unreadable()},
        endpoint="default",
        pool="pool",
        queued_at=0.0,
    )
    endpoint = Endpoint(name="default", base_url="http://127.0.0.1:9")
    with cluster(None, workers=1):
        pool = PoolSpec(name="pool", endpoint="default", actor="governor of this test", rules=Rules())
        crew = Crew({"default": endpoint}, [pool], Membership(job="job"), workers=1)
        while not crew.room({"live"})["pool"]:
            crew.news()
        crew.send("pool", [task])
        with pytest.raises(ClusterError, match=r"worker-1 could not take its tasks(.|\n)*no number"):
            for _ in range(ROUNDS):
                crew.news()

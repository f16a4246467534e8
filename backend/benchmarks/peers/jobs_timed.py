"""What both who do jobs print: the seconds that each half took, and the CPU seconds of its process."""

import json
import time
from collections.abc import Callable


def timed(enqueue: Callable[[], None], work: Callable[[], None]) -> None:
    halves = []
    for half in (enqueue, work):
        start, cpu = time.perf_counter(), time.process_time()
        half()
        halves.append([time.perf_counter() - start, time.process_time() - cpu])
    print(json.dumps(halves))

"""The shop against its peers: same data, same answers, same machine; docs/PERFORMANCE.md says how."""


class BenchmarkError(Exception):
    """The benchmark cannot go on; the message is for the person who started it."""

"""Some random sequences of requests; ``python -m tests.fuzz`` runs more."""

from tests import fuzz


def test_random_requests_that_overlap_keep_every_promise():
    assert fuzz.run(range(2000)) is None

"""What the queue's keys share with arq."""

from arq import constants

from tailrace.queue import _claims


def test_the_names_of_keys_are_arqs() -> None:
    for name in ("abort_jobs_ss", "in_progress_key_prefix", "result_key_prefix", "retry_key_prefix"):
        assert getattr(_claims, name) == getattr(constants, name)

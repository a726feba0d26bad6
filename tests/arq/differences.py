"""arq's own tests that don't pass with tailrace's worker, and why. A test that isn't named here has to pass."""

from typing import NamedTuple


class Difference(NamedTuple):
    """Why some tests don't pass."""

    reason: str
    tests: tuple[str, ...]
    documented: str = ""
    """Words from the row in docs/functions.md; empty where the test is about arq's internals, which nothing here promises."""


DIFFERENCES = (
    Difference(
        "tailrace serves one queue; `queue_name` of WorkerSettings isn't used",
        (
            "test_cron.py::test_job_successful_on_specific_queue",
            "test_jobs.py::test_enqueue_job_alt_queue",
            "test_jobs.py::test_enqueue_job_nondefault_queue",
            "test_main.py::test_enqueue_job_different_queues",
            "test_main.py::test_enqueue_job_custom_queue",
        ),
        "`queue_name`",
    ),
    Difference(
        "the serializer is JSON, and pickles and other formats are never read",
        (
            "test_jobs.py::test_deserialize_job_raw",
            "test_main.py::test_enqueue_job_nested_custom_serializer",
            "test_worker.py::test_custom_serializers",
            "test_worker.py::test_incompatible_serializers_2",
            "test_worker.py::test_deserialization_error",
        ),
        "`job_serializer`",
    ),
    Difference(
        "results are JSON, so an exception is text in them",
        ("test_worker.py::test_job_retry_dont_retry", "test_worker.py::test_return_exception"),
        "results hold Python objects",
    ),
    Difference(
        "the last try that asks for another fails at once, so `j_retried` is one less",
        ("test_worker.py::test_retry_lots",),
        "a `Retry` of the last try",
    ),
    Difference(
        "`max_burst_jobs` isn't used",
        (
            "test_worker.py::test_job_retry_max_jobs",
            "test_worker.py::test_max_bursts_sub_call",
            "test_worker.py::test_max_bursts_multiple",
        ),
        "`max_burst_jobs`",
    ),
    Difference(
        "the worker has keys of its own in Redis, and its queue another name",
        (
            "test_worker.py::test_set_health_check_key",
            "test_worker.py::test_remain_keys",
            "test_worker.py::test_remain_keys_no_results",
            "test_worker.py::test_remain_keys_keep_results_forever_in_function",
            "test_worker.py::test_remain_keys_keep_results_forever",
        ),
        "keys of Redis",
    ),
    Difference(
        "a run of cron leaves no mark under `arq:in-progress:`; `tailrace:tick:` keeps it from running twice",
        (
            "test_cron.py::test_job_successful[0.0]",
            "test_cron.py::test_job_successful[0.5]",
            "test_cron.py::test_job_successful[0.9]",
        ),
        "a run of `cron` stays in progress",
    ),
    Difference(
        "each job's start and end aren't logged",
        ("test_worker.py::test_exc_extra", "test_cli.py::test_run"),
        "logs the start and the end of each job",
    ),
    Difference("the test needs a package for arq's `--watch`, which is no option here", ("test_cli.py::test_run_watch",)),
    Difference(
        "the test calls private methods of arq's Worker, or replaces its attributes by mocks",
        (
            "test_cron.py::test_calculate_next_is_called_with_aware_datetime",
            "test_worker.py::test_handle_sig",
            "test_worker.py::test_handle_no_sig",
            "test_worker.py::test_worker_signal_completes_job_before_shutting_down",
            "test_worker.py::test_job_retry_race_condition",
            "test_worker.py::test_queue_read_limit_equals_max_jobs",
            "test_worker.py::test_custom_queue_read_limit",
            "test_worker.py::test_max_bursts_dont_get",
            "test_worker.py::test_multi_exec",
            "test_worker.py::test_worker_retry[exception_thrown0]",
            "test_worker.py::test_worker_retry[exception_thrown1]",
            "test_worker.py::test_worker_crash[exception_thrown0]",
            "test_worker.py::test_worker_crash[exception_thrown1]",
        ),
    ),
)
EXPECTED = {f"tests/{test}": each for each in DIFFERENCES for test in each.tests}

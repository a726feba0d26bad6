import os
import threading

import msgspec
import pytest

from tailrace.push import BlockingJob, BlockingPusher, JobState, Push, PushError
from tailrace.wire import SetupError


def test_the_verbs_are_the_same(working_url: str) -> None:
    with BlockingPusher(working_url) as pusher:
        job = pusher.push("blocking:1", {"text": "hi"}, event="greeting")
        end = job.receipt()
        assert end is not None
        assert end.state == JobState.APPENDED
        assert job.new
        assert pusher.status(job.id) == job.status() == end
        assert pusher.cancel(job.id) == JobState.APPENDED
        receipts = pusher.push_many([Push(to="blocking:1", data=1), Push(to="blocking:1", data=2)]).receipts()
        assert receipts is not None
        assert [msgspec.json.encode(receipt.data) for receipt in receipts] == [b"1", b"2"]
        scheduled = pusher.push("blocking:1", 1, delay_s=60)
        assert scheduled.cancel() == JobState.CANCELLED
        assert len(pusher.push_many([Push(to="blocking:1", data=1)]).jobs) == 1


def test_a_call(redis_url: str) -> None:
    with BlockingPusher(redis_url) as pusher:
        status = pusher.call("greet", {"name": "ann"}).status()
    assert status is not None
    assert status.state == JobState.QUEUED


def test_errors_come_through(redis_url: str) -> None:
    with BlockingPusher(redis_url) as pusher, pytest.raises(PushError):
        pusher.push("bad name", 1)


def test_any_thread_may_use_it_and_no_thread_stays(redis_url: str) -> None:
    before = threading.active_count()
    with BlockingPusher(redis_url) as pusher:
        threads = [threading.Thread(target=pusher.push, args=("blocking:2", number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert {pusher.push("blocking:2", 9).status() is None} == {False}
    assert threading.active_count() == before


def test_who_waits_in_another_thread_is_let_go_when_it_closes(redis_url: str) -> None:
    begun = threading.Event()

    def wait(job: BlockingJob) -> None:
        begun.set()
        job.receipt(30)

    pusher = BlockingPusher(redis_url)
    waiting = threading.Thread(target=wait, args=(pusher.push("blocking:5", 1, delay_s=60),), daemon=True)
    waiting.start()
    assert begun.wait(5)
    pusher.close()
    waiting.join(5)
    assert not waiting.is_alive()


def test_a_pusher_that_cannot_be_made_leaves_no_thread() -> None:
    before = threading.active_count()
    with pytest.raises(SetupError):
        BlockingPusher("nonsense")
    assert threading.active_count() == before


def test_after_closing_it_connects_anew(redis_url: str) -> None:
    pusher = BlockingPusher(redis_url)
    for _ in range(2):
        pusher.push("blocking:3", 1)
        pusher.close()
    pusher.close()


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # 3.12 warns of what is tested: fork beside threads
def test_a_forked_process_connects_anew(redis_url: str) -> None:
    with BlockingPusher(redis_url) as pusher:
        pusher.push("blocking:4", 1)
        child = os.fork()
        if child == 0:
            os._exit(0 if pusher.push("blocking:4", 2).new else 1)
        assert os.waitpid(child, 0)[1] == 0
        pusher.push("blocking:4", 3)

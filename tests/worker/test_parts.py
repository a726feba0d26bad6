"""A batch is gone through in parts: nothing is left out, and the loop never stands for long."""

import asyncio
import threading
from collections.abc import Sequence

import pytest
from hypothesis import given, strategies as st

from tailrace.worker.pushes._batch import each_part

pytestmark = pytest.mark.anyio


@given(st.lists(st.integers(0, 40_000), max_size=60))
def test_each_item_is_worked_on_once_and_in_order(sizes: list[int]) -> None:
    async def parts() -> list[Sequence[int]]:
        return await each_part(sizes, int, lambda part: part)

    assert [size for part in asyncio.run(parts()) for size in part] == sizes


@given(st.lists(st.integers(0, 40_000), max_size=60))
def test_a_part_is_short_or_one_item_alone(sizes: list[int]) -> None:
    async def parts() -> list[Sequence[int]]:
        return await each_part(sizes, int, lambda part: part)

    for part in asyncio.run(parts()):
        assert len(part) == 1 or (len(part) <= 16 and sum(part) <= 32 << 10)


async def test_the_loop_turns_while_a_large_item_is_worked_on() -> None:
    turned = threading.Event()

    def work(part: Sequence[bytes]) -> bool:
        return turned.wait(5)

    asyncio.get_running_loop().call_soon(turned.set)
    assert await each_part([bytes(1 << 20)], len, work) == [True]

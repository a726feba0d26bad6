from hypothesis import given, strategies as st

from tailrace.edge.streams._frames import PIECE_BYTES, Frame, FrameMaker, chunked, cursor_at, jittered, pieces
from tailrace.edge.window._ring import Ring
from tailrace.edge.window._tail import Tail
from tailrace.events import Generations
from tailrace.wire import Place, decode_cursor
from tests.edge.entries import at, entry


def make_tails(*positions: int) -> list[Tail]:
    tails = [Tail(Ring(0, 10, 1000)) for _ in positions]
    for tail, position in zip(tails, positions, strict=True):
        tail.begin(Generations("AAAAA", position), [])
    return tails


@given(st.lists(st.integers(1, 2 * PIECE_BYTES), max_size=40))
def test_pieces_are_bounded_and_cut_between_events(sizes: list[int]) -> None:
    frames = [Frame(number, bytes([number % 256]) * size, (number,)) for number, size in enumerate(sizes)]
    made = list(pieces(frames))
    assert b"".join(piece.data for piece in made) == b"".join(frame.data for frame in frames)
    ends = {frame.position for frame in frames}
    for piece in made:
        assert piece.position in ends
        assert len(piece.data) <= PIECE_BYTES or piece.data == piece.data[:1] * len(piece.data)


def test_no_more_pieces_are_made_than_are_asked_for() -> None:
    made = []

    def frames() -> object:
        for number in range(100):
            made.append(number)
            yield Frame(number, b"x" * PIECE_BYTES, (number,))

    next(pieces(frames()))  # type: ignore[arg-type]
    assert len(made) == 2


def test_frames_carry_the_cursor_of_who_has_got_them() -> None:
    tails = make_tails(at(5), at(7))
    maker = FrameMaker(tails, [at(5), at(7)])
    first, second = maker.frame(1, entry(8)), maker.frame(0, entry(6))
    assert (first.position, second.position) == ((at(5), at(8)), (at(6), at(8)))
    cursor = second.data.removesuffix(b"\n\n").rpartition(b"\nid: ")[2].decode()
    assert decode_cursor(cursor, 2) == (Place("AAAAA", at(6)), Place("AAAAA", at(8)))
    assert cursor == cursor_at(tails, (at(6), at(8)))


def test_chunks() -> None:
    assert chunked(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"


@given(st.integers(10, 100_000))
def test_jitter_stays_near(ms: int) -> None:
    assert ms // 2 <= jittered(ms) <= ms * 1.5 + 1

"""Images are written while the next batch is computed: in order, no record before its images, no error lost."""

from __future__ import annotations

import errno
import threading

import pytest

from helpers.runs.writing import WAITING, Writer


def test_pieces_are_done_in_order_beside_the_block():
    seen, go = [], threading.Event()
    with Writer() as writer:
        writer.write(lambda: (go.wait(30), seen.append(0)))
        writer.write(seen.append, 1)
        assert seen == []  # the first one waits, and the block goes on
        go.set()
        for number in range(2, 20):
            writer.write(seen.append, number)
    assert seen == list(range(20))


def test_no_more_than_a_few_wait():
    go, given = threading.Event(), []

    def feed():
        with Writer() as writer:
            for number in range(WAITING + 3):
                writer.write(go.wait, 30)
                given.append(number)

    feeder = threading.Thread(target=feed)
    feeder.start()
    feeder.join(0.2)
    assert len(given) <= WAITING
    go.set()
    feeder.join(30)
    assert len(given) == WAITING + 3


def full():
    raise OSError(errno.ENOSPC, "No space left on device", "images/0000.png")


@pytest.mark.parametrize("later", [0, 5])
def test_what_cannot_be_written_is_raised_and_nothing_is_recorded_behind_it(later):
    seen = []
    with pytest.raises(OSError, match="No space left"), Writer() as writer:
        writer.write(seen.append, "before")
        writer.write(full)
        for _ in range(later):
            writer.write(seen.append, "behind")
    assert seen == ["before"]


def test_an_interruption_waits_for_what_was_given_and_goes_on():
    seen = []
    with pytest.raises(KeyboardInterrupt), Writer() as writer:
        writer.write(seen.append, "given")
        raise KeyboardInterrupt
    assert seen == ["given"]

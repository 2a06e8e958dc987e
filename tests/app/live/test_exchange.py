"""The exchanges between threads keep their promises."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.live.exchange import AudioRing, Latest, Wake


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 64), st.data())
@settings(max_examples=60, deadline=None)
def test_a_reader_gets_every_sample_in_order_or_counts_it_as_lost(
    blocks: list[int], capacity: int, data: st.DataObject
) -> None:
    ring = AudioRing(capacity)
    reader = ring.reader()
    written = 0
    seen: list[float] = []
    for n in blocks:
        ring.write(np.arange(written, written + n, dtype=np.float32)[:, None])
        written += n
        if data.draw(st.booleans()):
            got = reader.read(data.draw(st.none() | st.integers(1, 30)))
            first = reader.position - len(got)
            np.testing.assert_array_equal(got[:, 0], np.arange(first, reader.position))
            seen += got[:, 0].tolist()
    got = reader.read()
    seen += got[:, 0].tolist()
    assert seen == sorted(set(seen))
    assert len(seen) + reader.lost == written
    assert reader.position == written


def test_no_torn_reads_while_the_writer_overtakes() -> None:
    """Each block is constant; a reader that is lapped again and again must never see two values in one sample row."""
    ring = AudioRing(512, channels=8)
    stop = threading.Event()

    def write() -> None:
        value = 0
        while not stop.is_set():
            value += 1
            ring.write(np.full((96, 8), value % 100_000, np.float32))

    writer = threading.Thread(target=write)
    reader = ring.reader()
    reads = 0
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    writer.start()
    try:
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            got = reader.read()
            reads += bool(len(got))
            assert (got == got[:, :1]).all()
            steps = np.diff(got[:, 0])
            assert ((steps == 0) | (steps == 1)).all(), "a jump inside one read"
    finally:
        stop.set()
        writer.join()
        sys.setswitchinterval(interval)
    assert reads > 20
    assert reader.lost > 0


def test_two_readers_do_not_disturb_each_other() -> None:
    ring = AudioRing(100, 2)
    early, late = ring.reader(), ring.reader(at=0)
    ring.write(np.ones((60, 2), np.float32))
    assert len(early.read()) == 60
    ring.write(np.full((60, 2), 2, np.float32))
    assert len(early.read()) == 60
    got = late.read()
    assert late.lost == 120 - len(got) > 0
    assert got[-1, 0] == 2


def test_ring_refuses_nonsense() -> None:
    with pytest.raises(ValueError, match="capacity"):
        AudioRing(0)


def test_latest_keeps_only_the_newest() -> None:
    box: Latest[int] = Latest(0)
    seen, _ = box.versioned()
    for k in range(1, 1001):
        box.put(k)
    version, value = box.versioned()
    assert (version - seen, value, box.get()) == (1000, 1000, 1000)


def test_wake_is_not_lost_and_does_not_pile_up() -> None:
    wake = Wake()
    for _ in range(5):
        wake.set()
    assert wake.wait(0)
    assert not wake.wait(0.01)
    timer = threading.Timer(0.05, wake.set)
    timer.start()
    start = time.monotonic()
    assert wake.wait(5)
    assert time.monotonic() - start < 2
    timer.join()


def test_wake_survives_many_setters() -> None:
    wake = Wake()
    setters = [threading.Thread(target=lambda: [wake.set() for _ in range(2000)]) for _ in range(4)]
    for setter in setters:
        setter.start()
    while any(s.is_alive() for s in setters):
        wake.wait(0.01)
    for setter in setters:
        setter.join()
    wake.wait(0)
    wake.set()
    assert wake.wait(0)
    assert not wake.wait(0)

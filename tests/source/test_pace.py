"""When requests may go out, on the real clock."""

import os
import signal
import threading
import time

import pytest
from support.threads import together

from airqino.source import pace
from airqino.source.pace import Pace


def under_way(limits: Pace, requests: int, seconds: float) -> tuple[int, float]:
    """Let so many requests of some seconds go out at once; return how many were under way at the same time, and how
    long all of them took."""
    now, most, lock = [0], [0], threading.Lock()

    def request() -> None:
        with limits.turn():
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(seconds)
            with lock:
                now[0] -= 1

    began = time.monotonic()
    together(requests, request)
    return most[0], time.monotonic() - began


def test_no_more_are_under_way_than_allowed():
    most, seconds = under_way(Pace(3, 1000), 9, 0.1)
    assert most == 3
    assert 0.3 <= seconds < 1


def test_who_waits_longest_is_next():
    limits, order = Pace(1, 1000), []

    def request(number: int) -> None:
        with limits.turn():
            order.append(number)

    with limits.turn():
        threads = [threading.Thread(target=request, args=(number,)) for number in range(5)]
        for thread in threads:
            waiting = len(limits._waiting)
            thread.start()
            while len(limits._waiting) == waiting:
                time.sleep(0.001)
    request(5)  # at once when its own turn is over: the others have waited longer
    for thread in threads:
        thread.join()
    assert order == [*range(6)]


def test_requests_that_hang_make_room_for_others(monkeypatch):
    monkeypatch.setattr(pace, "HOLD_SECONDS", 0.2)
    limits = Pace(2, 1000)
    done = threading.Event()

    def hang() -> None:
        with limits.turn():
            done.wait(10)

    threads = [threading.Thread(target=hang) for _ in range(2)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    most, seconds = under_way(limits, 4, 0.01)
    done.set()
    for thread in threads:
        thread.join()
    assert most <= 2
    assert 0.1 < seconds < 1
    assert under_way(limits, 6, 0.05)[0] == 2  # a place is given back once, not twice


def test_a_request_that_fails_gives_its_place_back():
    limits = Pace(1, 1000)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), limits.turn():
            raise ZeroDivisionError
    assert under_way(limits, 1, 0)[0] == 1


def test_who_is_told_to_stop_while_it_waits_keeps_no_place():
    limits = Pace(1, 1000)

    def stop(*_: object) -> None:
        raise InterruptedError

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        with limits.turn():
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1)).start()
            with pytest.raises(InterruptedError), limits.turn():
                pass
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert under_way(limits, 2, 0)[0] == 1


@pytest.mark.parametrize(("rate", "requests", "seconds"), [(10, 20, 1.0), (0.5, 2, 2.0)])
def test_no_more_go_out_in_a_second_than_allowed(rate, requests, seconds):
    _, took = under_way(Pace(50, rate), requests, 0)
    assert seconds <= took < seconds + 0.7

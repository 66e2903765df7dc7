"""Freed memory goes back to the system."""

import gc

import psutil

from tfc.base.freed_memory import give_back


def test_garbage_in_cycles_is_no_longer_resident():
    process, before = psutil.Process(), psutil.Process().memory_info().rss
    gc.disable()
    try:
        held = [[bytearray(2000)] for _ in range(60_000)]  # small pieces, which the C library keeps
        for one in held:
            one.append(one)
        kept = held[::600]
        del held, one
        grown = process.memory_info().rss - before
        give_back()
        left = process.memory_info().rss - before
    finally:
        gc.enable()
    assert len(kept) == 100 and grown > 50e6 and left < 0.5 * grown

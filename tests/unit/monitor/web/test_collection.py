import gc

import pytest

from monitor.web.collection import collection_paused


def test_no_collection_begins_meanwhile():
    begun = []
    gc.collect()
    gc.callbacks.append(lambda phase, _info: begun.append(phase))
    try:
        with collection_paused():
            kept = [[] for _ in range(10 * gc.get_threshold()[0])]
            assert begun == []
        kept += [[] for _ in range(10 * gc.get_threshold()[0])]
        assert begun
    finally:
        del gc.callbacks[-1]


def test_it_goes_on_after_an_error():
    with pytest.raises(ZeroDivisionError), collection_paused():
        raise ZeroDivisionError
    assert gc.isenabled()


def test_one_that_was_off_stays_off():
    gc.disable()
    try:
        with collection_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()

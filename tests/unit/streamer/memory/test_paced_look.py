from streamer.memory.paced_look import COST_SHARE, LOOK_EVERY_SECONDS, PacedLook


class Looked:
    """Counts its looks, each of which takes time of a clock."""

    def __init__(self, look_seconds=0.0):
        self.now = 0.0
        self.looks = 0
        self._seconds = look_seconds
        self.paced = PacedLook(self._look, lambda: self.now)

    def _look(self):
        self.looks += 1
        self.now += self._seconds
        return self.looks


def test_it_looks_each_ten_seconds():
    looked = Looked()
    for _ in range(int(LOOK_EVERY_SECONDS)):
        assert looked.paced.latest() == 1
        looked.now += 1.0
    assert looked.paced.latest() == 2


def test_what_takes_long_is_looked_at_rarely():
    looked = Looked(look_seconds=0.005)
    looked.paced.latest()
    looked.now += 0.9 * 0.005 / COST_SHARE
    assert looked.paced.latest() == 1
    looked.now += 0.2 * 0.005 / COST_SHARE
    assert looked.paced.latest() == 2


def test_what_is_forgotten_is_looked_at_again():
    looked = Looked()
    looked.paced.latest()
    looked.paced.forget()
    assert looked.paced.latest() == 2

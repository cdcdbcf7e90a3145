from streamer.feed_counters import FeedCounters


def test_foreign_text_in_a_notice_is_printable_and_cut():
    counters = FeedCounters()
    for _ in range(300):
        counters.notice("warning", message="\x1b[2J\n" * 200_000, connection_id=1, planned=None)
    details = [notice.detail for notice in counters.notices]
    assert all(detail["message"].isprintable() for detail in details)
    assert {detail["connection_id"] for detail in details} == {1}
    assert sum(len(detail["message"].encode()) for detail in details) < 400_000

from pathlib import Path

from streamer.shards.directories import directories, directory_of, name_of


def test_a_single_one_has_the_directory_itself_and_several_one_each() -> None:
    root = Path("data")
    assert directory_of(root, 0, 1) == root
    assert [directory_of(root, shard, 2) for shard in range(2)] == [
        root / "streamer-1",
        root / "streamer-2",
    ]
    assert name_of(0) == "streamer-1"


def test_every_directory_of_a_streamer_is_found_whatever_their_number_is_now(
    tmp_path: Path,
) -> None:
    for name in ("streamer-10", "streamer-2", "streamer-x", "streamer-", "streamer-02", "trade"):
        (tmp_path / name).mkdir()
    (tmp_path / "streamer-3").touch()
    assert list(directories(tmp_path)) == [
        tmp_path,
        tmp_path / "streamer-2",
        tmp_path / "streamer-10",
    ]

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

from supervisor.evidence import gather, largest_mappings

SMAPS = """\
00400000-00452000 r-xp 00000000 08:02 173521      /usr/bin/a b
Size:                328 kB
Rss:                 100 kB
Private_Dirty:         8 kB
VmFlags: rd ex mr mw me
00651000-00652000 r--p 00051000 08:02 173521      /usr/bin/a b
Size:                  4 kB
Rss:                   4 kB
7f0000000000-7f0010000000 rw-p 00000000 00:00 0
Size:             262144 kB
Rss:              200000 kB
Private_Dirty:    200000 kB
"""


def test_mappings_are_summed_by_name_largest_first() -> None:
    head, first, second = largest_mappings(SMAPS).splitlines()
    assert head.split()[:3] == ["Mappings", "Size", "Rss"]
    assert first.split() == ["1", "262,144", "200,000", "0", "200,000", "0", "anonymous"]
    assert second.split()[:3] == ["2", "332", "104"]
    assert second.endswith("  /usr/bin/a b")
    assert len(largest_mappings(SMAPS, shown=1).splitlines()) == 2


def test_sockets_tell_what_waits_in_them(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname())
        heard, _ = server.accept()
        client.sendall(b"unread")
        (tmp_path / "stacks").write_text("old\n")
        gather(os.getpid(), tmp_path / "stacks", 4, tmp_path)
        address = f"127.0.0.1:{client.getsockname()[1]}"
        client.close()
        found = json.loads((tmp_path / "sockets.json").read_text())
        [one] = [one for one in found if one["remote"] == address]
        assert one["fd"] == heard.fileno()
        assert (one["status"], one["receive_queue_bytes"]) == ("ESTABLISHED", len("unread"))
        heard.close()
    told = (tmp_path / "stacks.txt").read_text()  # nobody has dumped any
    assert told.startswith("no stacks within 1 s; its state is R") or "its state is S" in told

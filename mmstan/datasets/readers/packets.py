"""An index of a stream's compressed packets: times and key frames, without decoding."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import cast

import av


class PacketIndex:
    """Holds time stamps and key frames of a stream's packets, in decoding order."""

    def __init__(self) -> None:
        self.pts: list[int | None] = []
        """By packet: when its picture is shown, in the stream's time base."""
        self.keys: list[int] = []
        """Positions of the key frames' packets."""
        self._dts: list[int] = []
        self._shown: list[int | None] = []  # pts without the packets that an edit list cuts off
        self._corrupt = False

    def add(self, packet: av.Packet) -> None:
        """Append the stream's next packet."""
        if packet.is_keyframe:
            self.keys.append(len(self.pts))
        self.pts.append(packet.pts)
        if packet.dts is not None:
            self._dts.append(packet.dts)
        if not packet.is_discard:
            self._shown.append(packet.pts)
        self._corrupt |= packet.is_corrupt

    def is_steady(self) -> bool:
        """Whether the time stamps alone say which frames a player shows, and in which order.

        False where a piece of a stream begins without a key frame, where pieces were joined (time
        goes back), and where a packet is incomplete or has no time.
        """
        if self._corrupt or None in self.pts or self.keys[:1] != [0]:
            return False
        pts = cast(list[int], self.pts)
        if len(set(pts)) < len(pts) or any(a >= b for a, b in pairwise(self._dts)):
            return False
        # A key frame is shown after all packets before it; the first one before all others.
        latest = [pts[0] - 1, *accumulate(pts, max)]
        shown = cast(list[int], self._shown)
        return all(latest[key] < pts[key] for key in self.keys) and min(shown, default=0) >= pts[0]

    def display_order(self) -> list[int]:
        """Sort the time stamps of the frames that are shown; the index must be steady."""
        return sorted(cast(list[int], self._shown))

    def groups_are_closed(self) -> bool:
        """Whether every group of pictures is shown after its key frame and none is cut off."""
        starts = [cast(int, self.pts[key]) for key in self.keys]
        ends = [*self.keys[1:], len(self.pts)]
        closed = all(
            min(cast(list[int], self.pts[key:end])) == start
            for key, end, start in zip(self.keys, ends, starts)
        )
        return closed and len(self._shown) == len(self.pts)

    def runs(self, wanted_pts: list[int]) -> list[tuple[int, int]]:
        """Find the packets (first, last) to decode for these times.

        The runs are disjoint, and each begins at a key frame.
        """
        positions = {pts: position for position, pts in enumerate(self.pts)}
        needed = []
        for pts in wanted_pts:
            position = positions[pts]
            key = bisect_right(self.keys, position) - 1
            if pts < cast(int, self.pts[self.keys[key]]) and key > 0:
                key -= 1  # an open group's leading frame refers to the group before
            needed.append((self.keys[key], position))
        # Runs that overlap become one, so that no packet is decoded twice.
        runs: list[tuple[int, int]] = []
        for start, stop in sorted(needed):
            if runs and start <= runs[-1][1]:
                runs[-1] = (runs[-1][0], max(stop, runs[-1][1]))
            else:
                runs.append((start, stop))
        return runs

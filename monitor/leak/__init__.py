"""Does another process leak? A score from its memory as seen from outside, without a clock."""

from monitor.leak.assessment import Assessment
from monitor.leak.bins import bin_seconds_for
from monitor.leak.detector import LeakDetector

__all__ = ["Assessment", "LeakDetector", "bin_seconds_for"]

"""The detector without one of its parts: what each part is worth."""

from __future__ import annotations

import math
from collections.abc import Callable

from monitor.leak import detector, evidence, trend


def _set(module: object, name: str, value: object) -> Callable[[], None]:
    getattr(module, name)  # a part that was renamed must not be left in place unnoticed
    return lambda: setattr(module, name, value)


MUTATIONS: dict[str, Callable[[], None]] = {
    "load": _set(trend, "_LOAD_GAIN", math.inf),
    "warm-up": _set(trend, "WARM_UP_HOURS", ()),
    "logarithm": _set(trend, "_STEEPEST_LOGARITHM_MB", 0.0),
    "clipping": _set(trend, "_CLIP", math.inf),
    "correlation": _set(trend.Design, "inflation", lambda *_: 1.0),
    "dependence": _set(trend, "_MOST_ALIKE", 1.0),
    "early-tolerance": _set(evidence, "_tolerance", lambda *_, **__: 1.0),
    "safeguards": _set(evidence, "_safeguards", lambda *_: ()),
    "returns": _set(evidence, "_NEW_SHARE", -math.inf),
    "rotations": _set(evidence, "weigh_rotations", lambda *_: None),
    "hold": _set(detector, "_HOLD_SECONDS", 0.0),
}
"""Name of a part: removes it from this process's detector."""

"""What every test shares: one deterministic hypothesis profile."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# derandomize: a red run is the same red run everywhere; no deadline: the machine may be busy.
settings.register_profile(
    "metanode",
    derandomize=True,
    deadline=None,
    max_examples=50,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("metanode")

"""The number of inputs of each fuzz test.

`BAYESCALE_FUZZ` is the number of ``settings.get_profile("fuzz")``, which the tests of one way in
share: 2,000 by default, the same ones in every run, so that the suite says the same twice. More
than that (``make fuzz``: 100,000) are other ones each time.
"""

import os

from hypothesis import HealthCheck, settings

EXAMPLES = int(os.environ.get("BAYESCALE_FUZZ", "2000"))

settings.register_profile(
    "fuzz",
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 2000,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

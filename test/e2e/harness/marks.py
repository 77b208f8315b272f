"""The mark of a scenario in which Xylem and Envoy differ on purpose."""

def difference(reason, envoy=None, xylem=None):
    """Mark a scenario where Xylem deliberately does not do what Envoy does.

    reason: why. envoy and xylem: what each does, in a few words. The page
    docs/differences-from-envoy.md is made from these marks (differences.py).
    """
    import pytest   # bench/ reads the harness's builders without it
    return pytest.mark.difference(reason=reason, envoy=envoy, xylem=xylem)

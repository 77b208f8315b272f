"""The one way a scenario waits: for a condition, up to a bound. And the one way it is silent."""
import select
import time

BOUND = 10.0
STEP = 0.005


def wait_for(condition, bound=BOUND, what=None):
    """Return condition()'s first true value; fail when bound seconds pass without one.

    An exception of the condition counts as "not yet" and is told when the bound passes.
    """
    end = time.monotonic() + bound
    problem = None
    while True:
        try:
            value = condition()
            problem = None
            if value:
                return value
        except (AssertionError, OSError, LookupError, ValueError) as error:
            value, problem = None, error
        if time.monotonic() > end:
            name = what or getattr(condition, "__name__", "condition")
            raise AssertionError(
                f"waited {bound:g} s in vain for {name}"
                + (f": {problem}" if problem else f"; last seen: {value!r}"))
        select.select([], [], [], STEP)


def pause(seconds):
    """A silence that is the test itself: a peer that rests, or a time in which nothing may come."""
    time.sleep(seconds)

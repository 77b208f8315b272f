#!/usr/bin/env python3
"""Writes the messages of the tables anew from what build/xylem says. Review the diff.

Usage: test/e2e/broken/update.py    ($XYLEM and $XYLEM_STUB name other programs)
"""
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import t_broken  # noqa: E402
from broken import table  # noqa: E402
from harness import Proxy, Stub, direct  # noqa: E402
from harness.xds import ads_bootstrap, eds_cluster, endpoints, rds_listener, routes  # noqa: E402


def bootstrap_message(entry, folder):
    """What xylem says of a bootstrap, or None when it takes it."""
    code, text = t_broken.refuse("xylem", entry, folder)
    return text if code == 1 else None


def resource_message(entry, folder):
    """The reason of the NACK, or None when there is none."""
    control = Stub(folder / "stub", [rds_listener(), routes(direct(200, "good")),
                                     eds_cluster("one"), endpoints("one", 1)]).start()
    proxy = Proxy("xylem", folder / "proxy", ads_bootstrap(control))
    try:
        proxy.start()
        kind = t_broken.serve_broken(control, entry)
        return control.wait(kind, "NACKED", bound=3)["nack_reason"] + "\n"
    except AssertionError:
        return None
    finally:
        proxy.stop()
        control.stop()


def update(name, message_of):
    path = table.FOLDER / name
    entries, top = table.read(path)
    wrong = []
    for entry in entries:
        with tempfile.TemporaryDirectory() as folder:
            message = message_of(entry, Path(folder))
        if message is None:
            wrong.append(entry.name)
        else:
            entry.fields["message"] = message
    table.write(path, entries, top)
    print(f"{name}: {len(entries) - len(wrong)} messages written")
    for one in wrong:
        print(f"  not refused: {one}")
    return not wrong


def main():
    results = [update("bootstraps.yaml", bootstrap_message),
               update("resources.yaml", resource_message)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

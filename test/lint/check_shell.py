#!/usr/bin/env python3
"""Shell scripts pass shellcheck."""
import subprocess

import lint


def check(path, text):
    run = subprocess.run(
        ["shellcheck", "--format=gcc", "--severity=warning", "-"],
        input=text,
        capture_output=True,
        text=True,
    )
    return [line.replace("-:", f"{path}:", 1) for line in run.stdout.splitlines()]


def is_shell(name):
    return lint.read(name).startswith(("#!/bin/bash", "#!/bin/sh"))


CASES = [
    ("a quoted variable", "a.sh", '#!/bin/sh\nrm "$1"\n', None),
    ("an unused variable", "a.sh", "#!/bin/sh\nx=1\n", "unused"),
]

if __name__ == "__main__":
    lint.run(check, CASES, [n for n in lint.files() if is_shell(n)])

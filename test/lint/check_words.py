#!/usr/bin/env python3
"""The tree holds no unfinished work, no paths of one machine and no secrets."""
import re

import lint

# Put together from pieces, so that this file does not complain about itself.
WORDS = [
    (r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b", "unfinished work"),
    (r"(?<![\w.$}/-])/(wo" r"rk|ro" r"ot|ho" r"me/\w+|Us" r"ers)/", "a path of one machine"),
    (r"-----BEGIN (RSA |EC )?PRIV" r"ATE KEY-----", "a private key"),
    (r"^(<<<<" r"<<<|>>>>" r">>>)( |$)", "a merge conflict"),
]
TEST_KEYS = ("test/",)
BINARY = (".png", ".bin", ".gz", ".ico")


def check(path, text):
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        for pattern, meaning in WORDS:
            match = re.search(pattern, line)
            if match and not (meaning == "a private key" and path.startswith(TEST_KEYS)):
                found.append(f"{path}:{number}: {meaning}: {match[0]}")
    return found


CASES = [
    ("plain text", "a.c", "/* a word */\nopen(\"/tmp/x\");\n", None),
    ("an open end", "a.c", "/* TO" "DO: later */\n", "unfinished work"),
    ("a machine's path", "a.py", 'open("/wo' 'rk/x")\n', "a path of one machine"),
    ("a key", "tools/k.pem", "-----BEGIN PRIV" "ATE KEY-----\n", "a private key"),
    ("a key of the tests", "test/k.pem", "-----BEGIN PRIV" "ATE KEY-----\n", None),
    ("a conflict", "a.c", "<<<<" "<<< HEAD\n", "a merge conflict"),
]

if __name__ == "__main__":
    lint.run(check, CASES, [n for n in lint.files() if not n.endswith(BINARY)])

#!/usr/bin/env python3
"""Writes docs/xds-support.md: what Xylem does with each part of the xDS API.

usage: gen_support_doc.py            write the document
       gen_support_doc.py --check    exit 1 if it differs from what would be written

Everything comes from src/config/support_table.inc and the list of extensions in support_table.c: the
same tables that the proxy reads.
"""
import argparse
import pathlib
import re
import sys

TREE = pathlib.Path(__file__).resolve().parent.parent
TABLE = TREE / "src/config/support_table.inc"
CODE = TREE / "src/config/support_table.c"
DOCUMENT = TREE / "docs/xds-support.md"
WORDS = {
    "FULL": "implemented",
    "PART": "in part",
    "LIST": "accepted and listed",
    "REFUSE": "refused",
}
ROW = re.compile(r'^ROW\((?P<message>[\w.]+),\s*(?P<support>\w+),\s*(?P<text>.*?)\)$', re.M | re.S)
HEAD = """# What Xylem does with the xDS API

Written by `tools/gen_support_doc.py` from `src/config/support_table.inc`, the table that the proxy
itself reads: do not edit.

- **implemented**: does what the API says.
- **in part**: implemented but for what the note says; the rest is refused with a clear error.
- **accepted and listed**: not implemented, and harmless. The resource is used; the field is counted
  (`xylem.config.fields_ignored`), logged once and listed by `/config_dump` with its path. `--strict`
  refuses the resource.
- **refused**: not implemented, and to ignore it would weaken security or send traffic elsewhere. The
  resource is rejected with the path of the field.

A field that no line names is accepted and listed. An extension that is not in the list below is
refused by name, unless the configuration says that it is optional.

## Extensions

"""


def parse(text):
    """[(message, support, [field], note)] in the table's order."""
    rows = []
    for match in ROW.finditer(re.sub(r"/\*.*?\*/", "", text, flags=re.S)):
        strings = re.findall(r'"([^"]*)"(,?)', match["text"])
        split = next(i for i, (_, comma) in enumerate(strings) if comma)
        fields = "".join(s for s, _ in strings[: split + 1]).split()
        note = "".join(s for s, _ in strings[split + 1:])
        rows.append((match["message"], match["support"], fields, note))
    return rows


def extensions(text):
    body = text[text.index("support_extensions[] = {"):]
    return re.findall(r'"([\w.]+)"', body[: body.index("NULL")])


def render(rows, types):
    lines = [HEAD + "\n".join(f"- `{t}`" for t in types), "", "## Fields", ""]
    previous = None
    for message, support, fields, note in rows:
        if message != previous:
            lines += ["", f"### `{message}`", "", "| Fields | | Note |", "|---|---|---|"]
            previous = message
        names = "all others" if fields == ["*"] else ", ".join(f"`{f}`" for f in fields)
        lines.append(f"| {names} | {WORDS[support]} | {note} |")
    text = "\n".join(lines) + "\n"
    # A message with one row for everything needs no "others".
    single = re.compile(r"(### `[\w.]+`\n\n\| Fields \| \| Note \|\n\|---\|---\|---\|\n\| )all others")
    return re.sub(r"\n{3,}", "\n\n", single.sub(r"\1all", text))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    table = TABLE.read_text()
    rows = parse(table)
    if len(rows) != len(re.findall(r"^ROW\(", table, re.M)):
        sys.exit("gen_support_doc.py: a row of the table cannot be read")
    text = render(rows, extensions(CODE.read_text()))
    if not args.check:
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(text)
    elif not DOCUMENT.exists() or DOCUMENT.read_text() != text:
        sys.exit("docs/xds-support.md is not current: run tools/gen_support_doc.py")


if __name__ == "__main__":
    main()

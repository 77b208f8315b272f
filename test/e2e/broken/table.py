"""Reads and writes the tables of broken configurations, a small part of YAML on purpose.

An entry begins with "- name:"; each key holds one line of text, or a block after "key: |".
"""
from dataclasses import dataclass, field
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
ORDER = ["name", "in", "type", "config", "envoy", "message"]


@dataclass
class Entry:
    """One broken configuration. fields has the keys of ORDER that are there."""
    fields: dict
    comment: list = field(default_factory=list)

    @property
    def name(self):
        return self.fields["name"]

    def text(self):
        """The whole configuration: the entry's text inside its frame."""
        config = self.fields["config"]
        frame = self.fields.get("in")
        if not frame:
            return config
        lines = (FOLDER / "frames" / f"{frame}.yaml").read_text().splitlines(True)
        made = ""
        for line in lines:
            if line.strip() == "CONFIG":
                indent = line[:line.index("CONFIG")]
                line = "".join(indent + one for one in config.splitlines(True))
            made += line
        return made


def read(path):
    """All entries of a table, and the comment at its top."""
    lines = Path(path).read_text().split("\n")
    top, entries, block = [], [], None
    for number, line in enumerate(lines, 1):
        if line.startswith("    ") and block is not None:
            entries[-1].fields[block] += line[4:] + "\n"
        elif not line.strip() or line.lstrip().startswith("#"):
            if block is not None and not line.strip():
                block = None
            if not entries:
                top.append(line)
        else:
            key, colon, value = line[2:].partition(":")
            if line[:2] not in ("- ", "  ") or not colon or key not in ORDER:
                raise ValueError(f"{path}:{number}: cannot read {line!r}")
            if line.startswith("- "):
                entries.append(Entry({}))
            value = value.strip()
            block = key if value == "|" else None
            entries[-1].fields[key] = "" if block else value
    return entries, "\n".join(top).rstrip("\n")


def write(path, entries, top):
    """Write a table the way read() reads it."""
    out = [top] if top else []
    for entry in entries:
        mark = "- "
        made = []
        for key in ORDER:
            if key not in entry.fields:
                continue
            value = entry.fields[key]
            if key in ("config", "message"):
                made.append(f"{mark}{key}: |")
                made += ["    " + line for line in value.rstrip("\n").split("\n") if value]
            else:
                made.append(f"{mark}{key}: {value}")
            mark = "  "
        out.append("\n".join(made))
    Path(path).write_text("\n\n".join(out) + "\n")

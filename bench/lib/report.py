"""What a run found: rows with the figure of each proxy, the goal, and whether it is met."""
import json
import time

import svg
from processes import ROOT

RESULTS = ROOT / "bench" / "results"
ORDER = ("xylem", "floor", "haproxy", "nginx", "envoy")


class Report:
    """Rows in order of measurement."""

    def __init__(self):
        self.rows, self.pictures, self.notes = [], {}, []
        self.measured = {}      # section -> {"date", "versions": proxy -> version}

    def add(self, section, what, values, unit="", goal=None, met=None, spread=None):
        """values: proxy -> number; spread: proxy -> (low, high)."""
        row = {"section": section, "what": what, "unit": unit, "values": values, "goal": goal,
               "met": met, "spread": spread or {}}
        self.rows = [r for r in self.rows if (r["section"], r["what"]) != (section, what)]
        self.rows.append(row)
        return row

    def note(self, text):
        self.notes.append(text)

    def sections(self):
        return list(dict.fromkeys(row["section"] for row in self.rows))

    def markdown(self, section=None):
        lines = []
        for name in [section] if section else self.sections():
            rows = [row for row in self.rows if row["section"] == name]
            seen = {key for row in rows for key in row["values"]}
            columns = [*(k for k in ORDER if k in seen), *sorted(seen - set(ORDER))]
            lines += [f"### {name}{self._when(name)}", "", f"| | {' | '.join(columns)} | goal | met |",
                      "|---|" + "---|" * (len(columns) + 2)]
            for row in rows:
                cells = [self._cell(row, column) for column in columns]
                met = {True: "yes", False: "**no**", None: ""}[row["met"]]
                unit = f" ({row['unit']})" if row["unit"] else ""
                lines.append(f"| {row['what']}{unit} | {' | '.join(cells)} | {row['goal'] or ''} "
                             f"| {met} |")
            lines.append("")
        return "\n".join(lines)

    def _when(self, section):
        if section not in self.measured:
            return ""
        run = self.measured[section]
        return f" ({run['date']}, xylem {run['versions']['xylem'].split()[0]})"

    def _peers(self):
        """The versions of each peer, of which sections may have seen several."""
        seen = {}
        for run in self.measured.values():
            for name, text in run["versions"].items():
                seen.setdefault(name, {})[text] = True
        return {name: ", ".join(texts) for name, texts in seen.items() if name != "xylem"}

    @staticmethod
    def _cell(row, column):
        if column not in row["values"]:
            return ""
        text = svg.number(row["values"][column])
        spread = row["spread"].get(column)
        return f"{text} ({svg.number(spread[0])}–{svg.number(spread[1])})" if spread else text

    # The stored run: sections that were not measured again keep their rows.

    def load(self):
        path = RESULTS / "results.json"
        if path.exists():
            stored = json.loads(path.read_text())
            self.rows, self.notes = stored["rows"], stored.get("notes", [])
            self.pictures = stored.get("pictures", {})
            self.measured = stored["measured"]

    def forget(self, section):
        self.rows = [row for row in self.rows if row["section"] != section]
        self.measured.pop(section, None)

    def stamp(self, section, versions):
        """The section was measured now, with these."""
        self.measured[section] = {"date": time.strftime("%Y-%m-%d"), "versions": versions}

    def save(self):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / "results.json").write_text(json.dumps(
            {"measured": self.measured, "rows": self.rows, "pictures": self.pictures,
             "notes": self.notes}, indent=1) + "\n")
        for name, picture in self.pictures.items():
            (RESULTS / f"{name}.svg").write_text(svg.bars(picture["title"], picture["bars"]))
        head = ["# Measured", "", "Written by `bench/run`; what each row means: `bench/README.md`. Beside "
                "each section: when it was measured, and with which Xylem.", "", "| | version |",
                "|---|---|", *(f"| {name} | {text} |" for name, text in self._peers().items()), ""]
        (RESULTS / "results.md").write_text("\n".join(head) + "\n" + self.markdown() + "\n")

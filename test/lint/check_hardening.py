#!/usr/bin/env python3
"""The programs were built hardened: what their ELF headers and the compile commands say.

usage: check_hardening.py BUILD_FOLDER SANITIZED(true|false)

With a sanitizer only what the linker does is asked: it brings its own checks, and no fortify.
"""
import json
import pathlib
import platform
import re
import subprocess
import sys

PROGRAMS = ("xylem", "xylem-stub")
# Flags that leave nothing in the program that could be read; of fortify the libraries that are linked in
# leave the same as our own code. Debian's start files carry no mark of
# control-flow protection, so that the linker drops ours.
FLAGS = ["-fstack-protector-strong", "-fstack-clash-protection", "-fvisibility=hidden", "-fPI[CE]"]
X86_FLAGS = ["-fcf-protection"]
# Our own functions that a plug-in could call would be exported; a program exports none.
EXPORTED_BY_LIBC = re.compile(r"^(_ZN|_ZT|_ZS|_ZNK|_ZNS|__|_IO_stdin_used|std(in|out|err)|environ)")


def readelf(program, *what):
    run = subprocess.run(["readelf", "-W", *what, program], capture_output=True, text=True, check=True)
    return run.stdout


def header_complaints(text):
    if not re.search(r"^\s*Type:\s+DYN ", text, re.M):
        yield "is not position independent (PIE)"


def segment_complaints(text):
    stack = re.search(r"^\s*GNU_STACK\s.*([R ][W ][E ]) 0x\w+$", text, re.M)
    if not stack or "E" in stack[1]:
        yield "has an executable stack"
    if not re.search(r"^\s*GNU_RELRO\s", text, re.M):
        yield "has no RELRO segment"
    for match in re.finditer(r"^\s*LOAD\s.*([R ][W ][E ]) 0x\w+$", text, re.M):
        if "W" in match[1] and "E" in match[1]:
            yield "has a segment that is writable and executable"


def dynamic_complaints(text):
    if not re.search(r"\((FLAGS|FLAGS_1)\).*\b(BIND_NOW|NOW)\b|\(BIND_NOW\)", text):
        yield "resolves names lazily (no -z now): its table of functions stays writable"
    for tag, meaning in (("TEXTREL", "writes into its code at the start"),
                         ("RPATH", "has a search path for libraries of its own"),
                         ("RUNPATH", "has a search path for libraries of its own")):
        if f"({tag})" in text:
            yield meaning


def symbol_complaints(text, protected):
    """Lines of readelf --dyn-syms."""
    names = [re.match(r"\s*\d+:\s+\S+\s+\d+\s+(\S+)\s+(\S+)\s+\S+\s+(\S+)\s+([^\s@]+)", line)
             for line in text.splitlines()]
    names = [m.groups() for m in names if m]
    wanted = {name for _, _, where, name in names if where == "UND"}
    if protected and "__stack_chk_fail" not in wanted:
        yield "has no stack protector"
    for kind, _, where, name in names:
        if where != "UND" and kind == "FUNC" and not EXPORTED_BY_LIBC.match(name):
            yield f"exports {name}"


def command_complaints(commands, flags):
    for entry in commands:
        for flag in flags:
            if not re.search(rf"(?<!\S){flag}(?!\S)", entry["command"]):
                yield f"{entry['file']}: compiled without {flag}"


def fortify_complaints(commands):
    """The last word of a command on fortify is what holds."""
    for entry in commands:
        words = re.findall(r"(?<!\S)-[DU]_FORTIFY_SOURCE\S*", entry["command"])
        if not words or words[-1] not in ("-D_FORTIFY_SOURCE=2", "-D_FORTIFY_SOURCE=3"):
            yield f"{entry['file']}: compiled without -D_FORTIFY_SOURCE=2"


GOOD = {
    "header": "  Type:                              DYN (Position-Independent Executable file)\n",
    "segments": "  LOAD           0x000000 0x00 0x00 0x1 0x1 R   0x1000\n"
                "  GNU_STACK      0x000000 0x00 0x00 0x0 0x0 RW  0x10\n"
                "  GNU_RELRO      0x000000 0x00 0x00 0x0 0x0 R   0x1\n",
    "dynamic": " 0x1e (FLAGS)              BIND_NOW\n",
    "symbols": "  1: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND __stack_chk_fail@GLIBC_2.4 (2)\n"
               "  2: 0000000000000000     0 FUNC    GLOBAL DEFAULT  UND memcpy@GLIBC_2.14 (2)\n",
}
EXPORT = "  3: 0000000000001000     5 FUNC    GLOBAL DEFAULT   16 stream_new\n"


def complaints(kind, text, protected=True):
    if kind == "symbols":
        return list(symbol_complaints(text, protected))
    check = {"header": header_complaints, "segments": segment_complaints,
             "dynamic": dynamic_complaints}[kind]
    return list(check(text))


def self_test():
    """Each good text passes, and each way to spoil it is noticed."""
    spoiled = [
        ("header", "DYN", "EXEC", "position"),
        ("segments", "RW  0x10", "RWE 0x10", "executable stack"),
        ("segments", "GNU_STACK", "GNU_OTHER", "executable stack"),
        ("segments", "GNU_RELRO", "GNU_OTHER", "RELRO"),
        ("segments", "R   0x1000", "RWE 0x1000", "writable and executable"),
        ("dynamic", "BIND_NOW", "", "lazily"),
        ("dynamic", "BIND_NOW\n", "BIND_NOW\n 0x0f (RUNPATH) [/x]\n", "search path"),
        ("dynamic", "BIND_NOW\n", "BIND_NOW\n 0x16 (TEXTREL) 0x0\n", "into its code"),
        ("symbols", "__stack_chk_fail", "other", "stack protector"),
        ("symbols", "  1: ", EXPORT + "  1: ", "exports stream_new"),
    ]
    for kind, text in GOOD.items():
        assert not complaints(kind, text), (kind, complaints(kind, text))
    for kind, old, new, expected in spoiled:
        found = complaints(kind, GOOD[kind].replace(old, new, 1))
        assert any(expected in c for c in found), (kind, expected, found)
    command = {"file": "a.c", "command": "cc -fPIE -fstack-clash-protection -c a.c"}
    assert not list(command_complaints([command], ["-fPI[CE]", "-fstack-clash-protection"]))
    assert list(command_complaints([command], ["-fcf-protection"]))
    for words, good in (("", False), ("-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2", True),
                        ("-D_FORTIFY_SOURCE=3", True), ("-D_FORTIFY_SOURCE=1", False),
                        ("-D_FORTIFY_SOURCE=2 -U_FORTIFY_SOURCE", False), ("-D_FORTIFY_SOURCE", False)):
        command = {"file": "a.c", "command": f"cc {words} -c a.c"}
        assert bool(list(fortify_complaints([command]))) != good, words


def program_complaints(program, protected):
    texts = {"header": readelf(program, "-h"), "segments": readelf(program, "-l"),
             "dynamic": readelf(program, "-d"), "symbols": readelf(program, "--dyn-syms")}
    for kind, text in texts.items():
        for complaint in complaints(kind, text, protected):
            yield f"{program.name} {complaint}"


def main():
    self_test()
    print("ok 1 - self test")
    build, sanitized = pathlib.Path(sys.argv[1]), sys.argv[2] == "true"
    found = [c for name in PROGRAMS for c in program_complaints(build / name, not sanitized)]
    print(f"{'not ok' if found else 'ok'} 2 - {', '.join(PROGRAMS)}")
    commands = [c for c in json.loads((build / "compile_commands.json").read_text())
                if c["file"].endswith((".c", ".cc"))]
    flags = FLAGS + (X86_FLAGS if platform.machine() == "x86_64" else [])
    missing = list(command_complaints(commands, flags))
    missing += [] if sanitized else fortify_complaints(commands)
    print(f"{'ok' if commands and not missing else 'not ok'} 3 - {len(commands)} compile commands")
    for line in [*found, *missing[:20]]:
        print(f"# {line}")
    print("1..3")
    sys.exit(1 if found or missing or not commands else 0)


if __name__ == "__main__":
    main()

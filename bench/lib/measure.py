"""Readings: CPU, memory, system calls, heap, instructions; and the statistics made of them."""
import contextlib
import random
import re
import signal
import statistics
import struct
import subprocess
import time
from pathlib import Path

from processes import BenchError, installed, wait_for

DATA_CALLS = ("read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg",
              "splice")


# CPU and memory of a process

def cpu_ns(pid):
    """CPU of all threads, user and system."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except FileNotFoundError:
            pass    # a thread that has just ended
    return total


def user_ns(pid):
    """User CPU of all threads, in ticks of 10 ms."""
    ticks = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            ticks += int((task / "stat").read_text().rpartition(")")[2].split()[11])
        except FileNotFoundError:
            pass
    return ticks * 10_000_000


def steal_ticks():
    return int(Path("/proc/stat").read_text().split("\n", 1)[0].split()[8])


def pss_kib(pid):
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))


IDLE = 12.0    # after which a proxy has given back what it keeps for the next change


def settled_pss_kib(pid, bound=10.0, idle=0.0):
    """Pss once it has stopped changing: freed memory goes back from a timer. idle: at least so many
    seconds from now."""
    time.sleep(idle)
    seen, end = [pss_kib(pid)], time.monotonic() + bound
    while time.monotonic() < end:
        time.sleep(0.5)
        seen.append(pss_kib(pid))
        if len(seen) > 4 and max(seen[-4:]) - min(seen[-4:]) <= max(16, seen[-1] // 500):
            break
    return seen[-1]


# Stopping for a moment

@contextlib.contextmanager
def stopped(process):
    """The process does nothing meanwhile; what it is sent waits."""
    process.popen.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: all(") T " in (task / "stat").read_text()
                             for task in Path(f"/proc/{process.pid}/task").iterdir()), "the stop")
        yield
    finally:
        process.popen.send_signal(signal.SIGCONT)


def unread(port, peer=False):
    """How many connections of a local port, or of those that lead to it, hold bytes to be read."""
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return sum(int(row[2 if peer else 1].split(":")[1], 16) == port and row[3] == "01"
               and not row[4].endswith(":00000000") for row in rows)


# System calls

def strace(bench, pid, work):
    """How often each system call was made by all threads while work ran; None: not permitted."""
    if not installed("strace"):
        raise BenchError("strace is not installed")
    out = bench.folder / "strace.out"
    tracer = bench.start("strace", ["strace", "-f", "-c", "-U", "calls,name", "-o", out, "-p", pid])
    wait_for(lambda: "attached" in tracer.log() or tracer.popen.poll() is not None,
             "strace to attach")
    if tracer.popen.poll() is not None:
        if "not permitted" in tracer.log():
            return None
        raise BenchError(f"strace: {tracer.log()}")
    work()
    tracer.popen.send_signal(signal.SIGINT)
    tracer.popen.wait(10)
    return {m[2]: int(m[1]) for m in re.finditer(r"^ *(\d+) (\w+)$", out.read_text(), re.M)
            if m[2] != "total"}


def calls_per(first, second, requests):
    """(data calls, epoll_ctl, all others, by name) a request, of the difference of two readings."""
    each = {name: (second.get(name, 0) - first.get(name, 0)) / requests
            for name in {*first, *second}}
    data = sum(each.pop(name, 0) for name in DATA_CALLS)
    control = each.pop("epoll_ctl", 0)
    return data, control, sum(each.values()), each


# The counting allocator

class Heap:
    """The rows that libcount_heap.so writes for a program that was started with env()."""

    def __init__(self, path):
        self.path = Path(path)
        self.path.touch()

    def env(self, library):
        return {"LD_PRELOAD": str(library), "COUNT_HEAP_FILE": str(self.path)}

    def rows(self):
        """thread id -> (calls, allocated, freed)"""
        data = self.path.read_bytes()
        return {row[0]: row[1:] for row in struct.iter_unpack("<QQQQ", data) if row[0]}

    def live(self):
        return sum(allocated - freed for _, allocated, freed in self.rows().values())

    def settled(self, bound=10.0):
        """Live bytes once they are the same four times in a row."""
        seen, end = [self.live()], time.monotonic() + bound
        while time.monotonic() < end and (len(seen) < 5 or len(set(seen[-4:])) > 1):
            time.sleep(0.4)
            seen.append(self.live())
        return seen[-1]

    def calls_by_thread(self, pid, before):
        """Thread name -> calls since the reading `before`."""
        counts = {}
        for thread, row in self.rows().items():
            name = Path(f"/proc/{pid}/task/{thread}/comm").read_text().strip()
            counts[name] = counts.get(name, 0) + row[0] - before.get(thread, (0,))[0]
        return counts


# Instructions

CALLGRIND = ["--tool=callgrind", "--separate-threads=yes", "--compress-strings=no",
             "--compress-pos=no", "--instr-atstart=no", "--quiet"]


def valgrind(folder, program, *more):
    """The command that counts instructions once it is told to."""
    if not installed("valgrind"):
        raise BenchError("valgrind is not installed")
    return ["valgrind", *CALLGRIND, *more, f"--callgrind-out-file={folder}/callgrind.out", program]


def callgrind_control(pid, *words):
    done = subprocess.run(["callgrind_control", *words, str(pid)], capture_output=True, text=True,
                          check=False)
    if done.returncode or "Error" in done.stdout + done.stderr:
        raise BenchError(f"callgrind_control {words}: {done.stdout}{done.stderr}")


def instructions_by_thread(folder, number):
    """Thread number -> instructions in a dump."""
    found = {}
    for path in Path(folder).glob(f"callgrind.out.{number}-*"):
        text = path.read_text(errors="replace")
        total = re.search(r"^(?:totals|summary): (\d+)", text, re.M)
        thread = re.search(r"^thread: (\d+)", text, re.M)
        found[int(thread.group(1))] = int(total.group(1)) if total else 0
    return found


def totals(path):
    """Instructions in one file of callgrind's."""
    found = re.search(r"^totals: (\d+)", Path(path).read_text(errors="replace"), re.M)
    return int(found.group(1)) if found else 0


HEAP_FILES = re.compile(r"malloc/(malloc|arena)\.c|heap/count_heap\.c")
HEAP_NAMES = re.compile(r"_?_?(libc_)?(malloc|calloc|realloc|free|memalign)|malloc_\w+")


def without_heap(path):
    """Instructions in a dump, less those of libc's heap and of the counting around it: when libc
    tidies its heap depends on the layout, and so on the size of everything else."""
    total, file, name, heap, skip = 0, "", "", False, False
    with open(path, errors="replace") as lines:
        for line in lines:
            key, _, value = line.partition("=")
            if key in ("fl", "fi", "fe", "fn"):
                if key == "fn":
                    name = value.strip()
                else:
                    file = value
                heap = bool(HEAP_FILES.search(file) or HEAP_NAMES.fullmatch(name))
            elif key == "calls":
                skip = True     # the line that follows is what the called function took
            elif line[:1].isdigit():
                if not skip and not heap:
                    total += int(line.split()[1])
                skip = False
    return total


# Statistics

def slope(points):
    """Least squares over (x, y): (slope, intercept)."""
    mx = statistics.fmean(x for x, _ in points)
    my = statistics.fmean(y for _, y in points)
    k = sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)
    return k, my - k * mx


def slopes(rows, values):
    """Least squares with several variables: rows of numbers (a constant is added)."""
    full = [[*row, 1.0] for row in rows]
    n = len(full[0])
    a = [[sum(r[i] * r[j] for r in full) for j in range(n)]
         + [sum(r[i] * v for r, v in zip(full, values))] for i in range(n)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda k: abs(a[k][i]))
        a[i], a[pivot] = a[pivot], a[i]
        for k in range(n):
            if k != i:
                f = a[k][i] / a[i][i]
                a[k] = [x - f * y for x, y in zip(a[k], a[i])]
    return [a[i][n] / a[i][i] for i in range(n)]


def bootstrap(values, rounds=2000):
    """(median, low, high): the median with the 95 % interval of resampled medians."""
    chosen = random.Random(1)
    medians = sorted(statistics.median(chosen.choices(values, k=len(values)))
                     for _ in range(rounds))
    return (statistics.median(values), medians[int(rounds * 0.025)],
            medians[int(rounds * 0.975) - 1])


def percentile(values, part):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

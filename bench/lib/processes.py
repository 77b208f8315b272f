"""Processes of a measurement: started where they are pinned, waited for, ended by their ids."""
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BUILD = Path(os.environ.get("XYLEM_BUILD", ROOT / "build"))
PROXY_CPU, LOAD_CPU = 0, 1
sys.path.insert(0, str(ROOT / "test" / "e2e"))     # its builders of bootstraps, its stub


class BenchError(Exception):
    """What cannot be measured, and why."""


def say(text):
    """Progress goes to stderr, results to stdout."""
    print(text, file=sys.stderr, flush=True)


ALLOWED = sorted(os.sched_getaffinity(0))


def cpus():
    """Those that were ours at the start."""
    return ALLOWED


def tool(name):
    """A program of bench/, built by ninja."""
    path = BUILD / "bench" / name
    if not path.exists():
        raise BenchError(f"no program {path}: build first (bench/run does)")
    return path


def installed(name):
    """The path of a Debian program, or None."""
    return shutil.which(name, path="/usr/sbin:/usr/bin:/sbin:/bin:" + os.environ.get("PATH", ""))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(condition, what, bound=20.0, pause=0.01):
    end = time.monotonic() + bound
    while not (value := condition()):
        if time.monotonic() > end:
            raise BenchError(f"waited {bound:g} s in vain for {what}")
        time.sleep(pause)
    return value


def schedule(pid, policy, priority=0):
    """All threads of a process, and those to come."""
    for task in os.listdir(f"/proc/{pid}/task"):
        os.sched_setscheduler(int(task), policy, os.sched_param(priority))


def yield_to_others(pid):
    """The process runs when nobody else wants the CPU: what the load measures is the proxy, not who
    makes its changes on the load's CPU."""
    schedule(pid, os.SCHED_IDLE)


def go_first(pid):
    """The process goes before whoever else wants its CPU (SCHED_FIFO), where we may say so: what is
    measured is the proxy, not whom its load waits for. That the others are SCHED_IDLE does not do
    it: who has the CPU keeps it to the next tick when somebody else has slept and woken meanwhile."""
    try:
        schedule(pid, os.SCHED_FIFO, 1)
    except PermissionError:
        say("  the load may wait for others: real-time scheduling is not permitted here")


def behind_the_load(function):
    """function() in a thread of its own that gives way to the load: its value, or what it raised."""
    found = {}

    def run():
        os.sched_setscheduler(threading.get_native_id(), os.SCHED_IDLE, os.sched_param(0))
        try:
            found["value"] = function()
        except BaseException as error:      # pylint: disable=broad-except
            found["error"] = error
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in found:
        raise found["error"]
    return found["value"]


def accepts(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Process:
    """A started program with its log; port once it is known."""

    def __init__(self, name, folder, command, cpu=None, env=None, **more):
        self.name, self.folder = name, Path(folder)
        self.log_file = self.folder / f"{name}.log"
        self.port = None
        allowed = cpus()

        def pin():
            if cpu is not None and len(allowed) > 1:
                os.sched_setaffinity(0, {allowed[cpu % len(allowed)]})
        with open(self.log_file, "wb") as log:
            more.setdefault("stdin", subprocess.DEVNULL)
            more.setdefault("stdout", log)
            self.popen = subprocess.Popen(
                [str(c) for c in command], stderr=log, cwd=self.folder, preexec_fn=pin,
                env={**os.environ, **(env or {})}, **more)
        self.pid = self.popen.pid

    def log(self):
        return self.log_file.read_text(errors="replace")[-4000:]

    def check(self):
        if self.popen.poll() is not None:
            raise BenchError(f"{self.name} ended with {self.popen.returncode}:\n{self.log()}")

    def wait_port(self, port, bound=30.0):
        def ready():
            self.check()
            return accepts(port)
        wait_for(ready, f"{self.name} to listen", bound)
        self.port = port
        return self

    def stop(self):
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(10)
            except subprocess.TimeoutExpired:
                self.popen.kill()
                self.popen.wait()


class Bench:
    """The processes and files of one section."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.processes = []

    def home(self, name):
        made = self.folder / name
        made.mkdir(parents=True, exist_ok=True)
        return made

    def add(self, process):
        self.processes.append(process)
        return process

    def start(self, name, command, cpu=None, **more):
        return self.add(Process(name, self.folder, command, cpu, **more))

    def end(self, process):
        process.stop()
        self.processes.remove(process)

    def stop(self):
        for one in reversed(self.processes):
            one.stop()
        self.processes = []

    def origin(self, *names):
        """The origin of bench/, one port for each name."""
        made = self.start("origin", [tool("origin"), *names], LOAD_CPU)
        wait_for(lambda: len(made.log().split()) == max(1, len(names)), "the origin's ports")
        made.ports = [int(word) for word in made.log().split()]
        made.port = made.ports[0]
        return made

    def load(self, command, port, first=False, **options):
        """Run the load generator to its end: its figures. first: before whoever else wants its CPU."""
        words = [str(tool("load")), command, "--port", str(port)]
        for key, value in options.items():
            values = value if isinstance(value, (list, tuple)) else [value]
            for one in values:
                words += [f"--{key.replace('_', '-')}"] + ([] if one is True else [str(one)])
        run = ["taskset", "-c", str(cpus()[LOAD_CPU % len(cpus())]), *words]
        with subprocess.Popen(run, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE) as load:
            if first:
                go_first(load.pid)
            told, complaint = load.communicate()
        if load.returncode:
            raise BenchError(f"{' '.join(words)}: {complaint.strip()}")
        return json.loads(told)

    def talker(self, command, port, **options):
        """A load program that is asked line by line (hold, probe)."""
        words = [tool("load"), command, "--port", port]
        for key, value in options.items():
            words += [f"--{key.replace('_', '-')}"] + ([] if value is True else [value])
        made = self.start(command, words, LOAD_CPU, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          text=True)

        def answer():
            line = made.popen.stdout.readline()
            if not line:
                made.popen.wait(10)
                raise BenchError(f"load {command}: {made.log()}")
            return json.loads(line)

        def tell(line):
            made.popen.stdin.write(line + "\n")
            made.popen.stdin.flush()

        def ask(line):
            tell(line)
            return answer()
        made.answer, made.tell, made.ask = answer, tell, ask
        return made

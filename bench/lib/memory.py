"""Memory: what an idle proxy holds, with and without its control plane, and an idle connection."""
import tempfile

import measure
import peers
import scale
from processes import LOAD_CPU, Bench, Process, say, tool

HELD = (0, 1000, 2500, 5000)


def memory(report, options):
    idle_with_ads(report)
    connections(report)


def idle_with_ads(report):
    """Pss with one idle ADS stream; of a program with the same libraries; the difference."""
    pss = {}

    def measured(place):
        for name in scale.available():
            proxy = scale.start_proxy(place.bench, name, place.control)
            scale.wait_served(proxy, place.port, "/c0/")
            pss[name] = measure.settled_pss_kib(proxy.pid, idle=measure.IDLE) / 1024
            place.bench.end(proxy)
        words = [tool("idle_ads"), place.control.xds_port]
        libraries = place.bench.add(Process("idle_ads", place.bench.home("idle"), words, LOAD_CPU,
                                            stdin=-1, stdout=-1, text=True))
        assert libraries.popen.stdout.readline() == "open\n", libraries.log()
        pss["libraries"] = measure.settled_pss_kib(libraries.pid) / 1024
        libraries.popen.stdin.close()
        libraries.popen.wait(10)
    scale.with_place(1, measured)
    say(f"  {pss}")
    alone = pss.pop("libraries")
    report.add("memory", "Pss when idle, ADS connected", pss, "MiB", "≤ 15", pss["xylem"] <= 15)
    report.add("memory", "... of it the libraries with one idle ADS stream", {"xylem": alone}, "MiB")
    report.pictures["idle"] = {"title": "Memory when idle, ADS connected (Pss, MiB)", "bars": pss}
    report.add("memory", "... ours", {"xylem": pss["xylem"] - alone}, "MiB", "≤ 4",
               pss["xylem"] - alone <= 4)


def connections(report):
    """Pss by the number of held connections, each after one request; least squares, from the first
    thousand on: that also brings what comes with any traffic."""
    each, idle = {}, {}
    with tempfile.TemporaryDirectory(prefix="xylem-bench-") as folder:
        bench = Bench(folder)
        try:
            for name in [n for n in peers.NAMES if n != "floor" and peers.program(n)]:
                proxy = peers.start(bench, name, bench.origin().port)
                points = []
                for count in HELD:
                    hold = bench.talker("hold", proxy.port, connections=count)
                    hold.answer()
                    points.append((count, measure.settled_pss_kib(proxy.pid, idle=measure.IDLE)))
                    bench.end(hold)
                idle[name] = points[0][1] / 1024
                each[name] = measure.slope(points[1:])[0]
                say(f"  {name}: {points}")
                bench.stop()
        finally:
            bench.stop()
    report.add("memory", "Pss when idle, one listener from a file", idle, "MiB")
    report.add("memory", "Pss of an idle connection", each, "KiB", "≤ 1", each["xylem"] <= 1)
    report.pictures["connection"] = {"title": "Memory of an idle connection (Pss, KiB)",
                                     "bars": each}

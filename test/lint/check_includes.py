#!/usr/bin/env python3
"""Rooms include only the rooms below them, and each library has one doorway."""
import re

import lint

# folder -> the rooms it may include, besides itself
EDGES = {
    "src/base/": [],
    "src/regex/": ["base"],
    "src/config/": ["base", "regex"],
    "src/xds/": ["base", "config"],
    "src/dataplane/net/": ["base", "config"],
    "src/dataplane/http/": ["base", "config", "dataplane/net"],
    "src/dataplane/upstream/": ["base", "config", "dataplane/net", "dataplane/http"],
    "src/filters/": ["base", "config", "dataplane"],
    "src/admin/": ["base", "regex", "config", "dataplane", "xds"],
    "src/main/": ["base", "regex", "config", "xds", "dataplane", "filters", "admin"],
    "control-plane-stub/": [],
}
ROOMS = ("base", "regex", "config", "xds", "dataplane", "filters", "admin", "main")

# include -> the files that may use it
STUB = r"(control-plane-stub|test/unit/stub)/"
DOORWAYS = [
    (r"ev\.h$", [r"src/dataplane/net/loop[._]", STUB, r"bench/"]),
    (r"openssl/", [r"src/dataplane/net/(transport_)?tls", r"control-plane-stub/tls\.c$", r"test/(unit|loopback|support|fuzz)/.*tls", r"bench/"]),
    (r"ares", [r"src/dataplane/net/dns[._]", r"test/fuzz/targets/dns\.c$"]),
    (r"seccomp\.h$", [r"src/main/sandbox_calls\.c$"]),
    (r"nghttp2/", [r"src/dataplane/http/codec_h2[._]", r"bench/"]),
    (r"grpc/", [r"src/xds/grpc_stream\.c$", STUB]),
    (r"yaml\.h$", [r"src/config/yaml[._]", STUB]),
    (r"re2/", [r"src/regex/"]),
    (r"protobuf-c/|.*\.pb-c\.h$", [STUB]),
    (r"api_descriptors\.h$", [r"src/config/.*\.c$", STUB, r"test/unit/api/"]),
    (
        # _util.h: inline helpers for those .c files, and for them alone
        r"upb/|.*\.upb\.h$|config/(upb|decode)_util\.h$",
        [
            r"src/config/(upb_util|decode_util|json_read_value|validate_rules)\.h$",
            r"src/(config|xds)/.*\.c$",
            r"src/filters/.*_(config|proto)\.c$",
            r"test/unit/(api|config|xds|filters)/",
            r"test/fuzz/",
        ],
    ),
]
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]')


def filter_folder(path):
    """src/filters/http/cors/x.c -> filters/http/cors; None for the shared files above."""
    parts = path.split("/")
    return "/".join(parts[1:4]) if path.startswith("src/filters/") and len(parts) > 4 else None


def room_complaint(path, include):
    folder = next((f for f in EDGES if path.startswith(f)), None)
    if folder is None or include.split("/")[0] not in ROOMS or "/" not in include:
        return None
    own = filter_folder(path)
    if own and include.startswith("filters/") and include.count("/") > 2:
        if not include.startswith(own + "/"):
            return f"a filter may not include another filter: {include}"
        return None
    allowed = EDGES[folder] + ([folder[4:-1]] if folder.startswith("src/") else [])
    if any(include.startswith(room + "/") for room in allowed):
        return None
    return f"{folder} may not include {include}"


def doorway_complaint(path, include):
    for pattern, doors in DOORWAYS:
        if re.match(pattern, include) and not any(re.match(door, path) for door in doors):
            return f"{include} has its doorway elsewhere: {', '.join(doors)}"
    return None


def check(path, text):
    found = []
    includes = [
        (number, m[1])
        for number, line in enumerate(text.splitlines(), 1)
        if (m := INCLUDE.match(line))
    ]
    for number, include in includes:
        complaint = room_complaint(path, include) or doorway_complaint(path, include)
        if complaint:
            found.append(f"{path}:{number}: {complaint}")
    return found


def include(name, quote='""'):
    return f"#include {quote[0]}{name}{quote[1]}\n"


CASES = [
    ("a room below", "src/config/a.c", include("base/bytes.h"), None),
    ("its own room", "src/dataplane/net/a.c", include("dataplane/net/loop.h"), None),
    ("base looking up", "src/base/a.c", include("config/node.h"), "may not include"),
    ("config looking at xds", "src/config/a.c", include("xds/client.h"), "may not include"),
    ("net looking at http", "src/dataplane/net/a.c", include("dataplane/http/stream.h"), "may not"),
    ("xds looking at dataplane", "src/xds/a.c", include("dataplane/net/loop.h"), "may not include"),
    ("anything including main", "src/admin/a.c", include("main/process.h"), "may not include"),
    ("dataplane including filters", "src/dataplane/http/a.c", include("filters/registry.h"), "may"),
    (
        "a filter including a filter",
        "src/filters/http/cors/cors.c",
        include("filters/http/fault/fault.h"),
        "another filter",
    ),
    ("the registry", "src/filters/registry.c", include("filters/http/cors/cors.h"), None),
    ("a filter's own header", "src/filters/http/a/a.c", include("filters/http/a/a.h"), None),
    ("the stub reading our code", "control-plane-stub/a.c", include("config/yaml.h"), "may not"),
    ("libev in its doorway", "src/dataplane/net/loop.c", include("ev.h", "<>"), None),
    ("libev elsewhere", "src/dataplane/net/listener.c", include("ev.h", "<>"), "doorway"),
    ("libyaml elsewhere", "src/config/json.c", include("yaml.h", "<>"), "doorway"),
    ("our own yaml.h", "src/config/json.c", include("config/yaml.h"), None),
    ("gRPC elsewhere", "src/xds/source.c", include("grpc/grpc.h", "<>"), "doorway"),
    ("upb in a header", "src/config/a.h", include("upb/def.h"), "doorway"),
    ("accessors in a filter's run time", "src/filters/http/a/a.c", include("envoy/a.upb.h"), "door"),
    ("accessors in a filter's decoder", "src/filters/http/a/a_config.c", include("e/a.upb.h"), None),
]

if __name__ == "__main__":
    lint.run(check, CASES, lint.files(".c", ".h", ".cc"))

#!/usr/bin/env python3
"""No internal name is also exported by a library that a program links: the wrong one could be called.
And there is one TLS library in a program: BoringSSL, inside of it, of which no name is seen outside.

usage: check_symbols.py BUILD_FOLDER
"""
import pathlib
import subprocess
import sys

# Generated names are official ones; hidden visibility keeps them apart.
GENERATED = ("libupb_api.a", "libapi_descriptors.a")

# Hidden in our programs, and the other is never called by them.
HARMLESS = {
    "pmap_set": "libc's client of the RPC port mapper",
}


# Another TLS library would bring a second idea of what a certificate is.
TLS_LIBRARIES = ("libssl.", "libcrypto.", "libgnutls.", "libmbedtls.", "libnss3.", "libgrpc.")


def lines(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def defined(text):
    """name of each symbol in `nm -P` lines that define one."""
    fields = (line.split() for line in text)
    return {f[0].split("@")[0] for f in fields if len(f) > 1 and f[1] in "TDBRVWCGSuiB"}


def clashes(internal, exported):
    """file -> names, {library: names} -> complaints."""
    return [
        f"{file}: {name} is also exported by {library}"
        for file, names in sorted(internal.items())
        for library, others in sorted(exported.items())
        for name in sorted(names & others)
    ]


def strangers(libraries):
    """Complaints about TLS libraries among the paths."""
    names = (pathlib.Path(path).name for path in libraries)
    found = (n for n in names if n.startswith(TLS_LIBRARIES))
    return sorted(f"a second TLS library is linked: {n}" for n in found)


def shown(text):
    """Names of BoringSSL that a program exports: `nm -P -D` of it."""
    return sorted(n for n in defined(text) if n.startswith(("SSL_", "EVP_", "X509_", "CRYPTO_")))


def self_test():
    assert strangers(["/usr/lib/libssl.so.3", "/lib/libc.so.6"]) == [
        "a second TLS library is linked: libssl.so.3"
    ]
    assert shown(["SSL_new T 0 10", "main T 0 1", "EVP_x U"]) == ["SSL_new"]
    nm = defined(["f T 0 10", "g U", "h t 0 4", "d D 0 8"])
    assert nm == {"f", "d"}, nm
    assert clashes({"a.o": {"f", "g"}}, {"libx.so": {"g"}}) == [
        "a.o: g is also exported by libx.so"
    ]
    assert not clashes({"a.o": {"f"}}, {"libx.so": {"g"}})


def libraries(build):
    """The shared libraries of the programs, without the C++ run time's mangled names."""
    programs = [build / "xylem", build / "xylem-stub", *build.glob("test/test_*")]
    found = set()
    for program in programs:
        if program.is_file():
            for line in lines("ldd", str(program)):
                path = line.partition("=>")[2].split()
                if path and path[0].startswith("/"):
                    found.add(path[0])
    return found


def main():
    self_test()
    print("ok 1 - self test")
    build = pathlib.Path(sys.argv[1])
    # One member's external symbols, per archive: an archive may not clash with itself anyway.
    internal = {
        archive.name: defined(lines("nm", "-P", "-g", str(archive)))
        for archive in build.rglob("lib*.a")
        if archive.name not in GENERATED
    }
    for names in internal.values():
        names.difference_update(HARMLESS)
    exported = {
        pathlib.Path(path).name: defined(lines("nm", "-P", "-D", path)) for path in libraries(build)
    }
    found = {c for c in clashes(internal, exported) if not c.split(": ")[1].startswith(("_Z", "__"))}
    print(f"{'not ok' if found else 'ok'} 2 - {len(internal)} rooms, {len(exported)} libraries")
    for line in sorted(found):
        print(f"# {line}")
    tls = strangers(libraries(build))
    for name in ("xylem", "xylem-stub"):
        if (build / name).is_file():
            tls += [f"{name} exports {n}" for n in shown(lines("nm", "-P", "-D", str(build / name)))]
    print(f"{'not ok' if tls else 'ok'} 3 - one TLS library, inside")
    for line in tls:
        print(f"# {line}")
    print("1..3")
    sys.exit(1 if found or tls else 0)


if __name__ == "__main__":
    main()

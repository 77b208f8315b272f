"""Certificates in files: what changes there is seen where a secret names them, and nowhere else.
What such a secret names may come later than the secret."""
import json

import pytest

from harness import bootstrap, certs, difference, direct, wait_for, xds
from harness.certs import downstream, sds
from harness.stub import type_url
from harness.tls import TlsClient
from harness.xds import listener


def tls_listener(socket, name="ingress"):
    made = listener(name, routes=[direct(200, name)])
    made.pop("@type")
    made["filter_chains"][0]["transport_socket"] = socket
    return made


def served(proxy, ca, name="ingress"):
    with TlsClient(proxy.port(name), certs.client_context(ca)) as client:
        assert client.get("/").status == 200
        return client.peer_serial


def secret_file(folder, secret):
    new = folder / "new"
    new.write_text(json.dumps({"version_info": "1", "type_url": type_url("sds"),
                               "resources": [secret]}))
    return {"resource_api_version": "V3",
            "path_config_source": {"path": str(new.rename(folder / (secret["name"] + ".json")))}}


@pytest.mark.parametrize("how", ["filename", "watched_directory", "of_sources"])
def test_files_of_a_listener_are_read_once(start, tmp_path, ca, how):
    """Whatever it says of a folder to watch. The same files, named by a secret, are read again."""
    folder = tmp_path / "certs"
    one = ca.issue("one", dns=["a.test"]).write(folder, "web")
    made = one.tls_certificate(files=True)
    if how == "watched_directory":
        made["watched_directory"] = {"path": str(folder)}
    if how == "of_sources":
        for key in ("certificate_chain", "private_key"):
            made[key]["watched_directory"] = {"path": str(folder)}
    (tmp_path / "sds").mkdir()
    source = secret_file(tmp_path / "sds", one.secret(
        "web", files=True, watched_directory={"path": str(folder)}))
    proxy = start(bootstrap([
        tls_listener(downstream(tls_certificates=[made]), "static"),
        tls_listener(downstream(tls_certificate_sds_secret_configs=[sds("web", source)]), "secret")],
        node={"id": "test", "cluster": "e2e"}))
    assert served(proxy, ca, "static") == one.serial
    two = ca.issue("two", dns=["a.test"]).write(folder, "web")
    wait_for(lambda: served(proxy, ca, "secret") == two.serial, what="the secret")
    three = ca.issue("three", dns=["a.test"]).write(folder, "web")
    wait_for(lambda: served(proxy, ca, "secret") == three.serial, what="the secret, once more")
    assert served(proxy, ca, "static") == one.serial


def files_at(folder):
    return {"certificate_chain": {"filename": str(folder / "web.pem")},
            "private_key": {"filename": str(folder / "web.key")}}


def closed(proxy):
    try:
        with TlsClient(proxy.port(), certs.client_context()) as client:
            return client.get("/").status is None
    except (OSError, AssertionError):
        return True


def wait_closed(proxy):
    """No connection has a certificate yet, and the secret was refused for it."""
    proxy.wait_stat("sds.web.update_rejected", 1)
    assert closed(proxy)


@pytest.fixture(params=["path", "ads"])
def begin(request, stub, start, tmp_path):
    """begin(secret, socket) -> the proxy, and what gives it another version of the secret."""
    def run(secret, socket=None):
        (tmp_path / "sds").mkdir()
        if request.param == "path":
            source = secret_file(tmp_path / "sds", secret)
        else:
            control = stub(secret)
            source = xds.ADS
        proxy = start(xds.ads_bootstrap(
            control if request.param == "ads" else stub(),
            listeners=[tls_listener(socket(source) if socket else downstream(
                tls_certificate_sds_secret_configs=[sds("web", source)]))]), ready=False)
        if request.param == "path":
            return proxy, lambda secret: secret_file(tmp_path / "sds", secret)
        return proxy, control.put
    return run


@pytest.mark.parametrize("watched", [False, True], ids=["own-folder", "watched-directory"])
@pytest.mark.parametrize("there", [[], ["web.pem"], ["web.key"]], ids=["none", "chain", "key"])
def test_files_that_come_later(begin, tmp_path, ca, there, watched):
    """A volume that is filled after the start: as soon as both files are there they are used."""
    folder = tmp_path / "certs"
    one = ca.issue("one", dns=["a.test"]).write(tmp_path / "first", "web")
    made = one.secret("web", **({"watched_directory": {"path": str(folder)}} if watched else {}))
    made["tls_certificate"].update(files_at(folder))
    folder.mkdir()
    for name in there:
        (tmp_path / "first" / name).rename(folder / name)
    proxy, _ = begin(made)
    wait_closed(proxy)
    for name in {"web.pem", "web.key"} - set(there):
        (tmp_path / "first" / name).rename(folder / name)
    wait_for(lambda: not closed(proxy), what="the files to be read")
    assert served(proxy, ca) == one.serial
    assert proxy.stat("sds.web.update_rejected") == 1
    assert proxy.stat("sds.web.update_success") == 0
    two = ca.issue("two", dns=["a.test"]).write(folder, "web")
    wait_for(lambda: served(proxy, ca) == two.serial, what="the next pair")


@pytest.mark.parametrize("first", [None, ""], ids=["missing", "empty"])
def test_an_authority_that_comes_later(begin, tmp_path, ca, first):
    folder = tmp_path / "certs"
    folder.mkdir()
    one = ca.issue("one", dns=["a.test"])
    made = ca.validation_secret("web")
    made["validation_context"]["trusted_ca"] = {"filename": str(folder / "ca.pem")}
    if first is not None:
        (folder / "ca.pem").write_text(first)
    proxy, _ = begin(made, lambda source: downstream(
        one, validation_context_sds_secret_config=sds("web", source)))
    wait_closed(proxy)
    (tmp_path / "ca.pem").write_text(ca.pem)
    (tmp_path / "ca.pem").rename(folder / "ca.pem")
    wait_for(lambda: not closed(proxy), what="the authority to be read")
    assert served(proxy, ca) == one.serial


@difference("A version that is refused takes nothing from the one that serves: its certificate "
            "must not end because the next one is not there.",
            envoy="reads the files of the version that serves no more",
            xylem="follows them until the newer version can be used")
def test_files_of_a_newer_version_that_come_later(kind, begin, tmp_path, ca):
    one = ca.issue("one", dns=["a.test"]).write(tmp_path / "v1", "web")
    (tmp_path / "v2").mkdir()

    def version(name):
        made = one.secret("web")
        made["tls_certificate"].update(files_at(tmp_path / name))
        return made

    proxy, give = begin(version("v1"))
    wait_for(lambda: not closed(proxy), what="the first version")
    assert served(proxy, ca) == one.serial
    give(version("v2"))
    proxy.wait_stat("sds.web.update_rejected", 1)
    two = ca.issue("two", dns=["a.test"]).write(tmp_path / "v1", "web")
    if kind == "xylem":
        wait_for(lambda: served(proxy, ca) == two.serial, what="the files of the first version")
    else:
        assert served(proxy, ca) == one.serial
    three = ca.issue("three", dns=["a.test"]).write(tmp_path / "v2", "web")
    wait_for(lambda: served(proxy, ca) == three.serial, what="the files of the second version")

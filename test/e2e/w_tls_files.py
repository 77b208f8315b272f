"""Certificates in files: what changes there is seen where a secret names them, and nowhere else."""
import json

import pytest

from harness import bootstrap, certs, direct, wait_for
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

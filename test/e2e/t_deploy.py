"""deploy/k8s: the manifests are whole and hardened, and their bootstrap runs. No cluster is needed."""
import copy
import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.proxy import REPOSITORY, binary, run_once

FOLDER = REPOSITORY / "deploy" / "k8s"


def documents():
    found = [d for path in sorted(FOLDER.glob("*.yaml"))
             for d in yaml.safe_load_all(path.read_text())]
    return {(d["kind"], d["metadata"]["name"]): d for d in found}


def at(thing, path):
    """The value at a dotted path, or None."""
    for key in path.split("."):
        if isinstance(thing, list):
            thing = thing[int(key)] if int(key) < len(thing) else None
        else:
            thing = (thing or {}).get(key)
    return thing


POD = "spec.template.spec"
BOX = POD + ".containers.0"
WANTED = {
    "apiVersion": "apps/v1",
    POD + ".automountServiceAccountToken": False,
    POD + ".securityContext.runAsNonRoot": True,
    POD + ".securityContext.seccompProfile.type": "RuntimeDefault",
    BOX + ".securityContext.allowPrivilegeEscalation": False,
    BOX + ".securityContext.readOnlyRootFilesystem": True,
    BOX + ".securityContext.capabilities.drop": ["ALL"],
    BOX + ".readinessProbe.httpGet.path": "/ready",
    BOX + ".readinessProbe.httpGet.port": "probes",
    BOX + ".volumeMounts.0.readOnly": True,
}
PRESENT = [BOX + "." + name for name in (
    "image", "startupProbe", "livenessProbe", "lifecycle.preStop", "resources.requests.cpu",
    "resources.requests.memory", "resources.limits.memory")] + [
    POD + ".securityContext.runAsUser", POD + ".terminationGracePeriodSeconds"]
FORBIDDEN = [POD + "." + name for name in ("hostNetwork", "hostPID", "hostIPC")] + [
    BOX + ".securityContext." + name for name in ("privileged", "capabilities.add")]


def deployment_complaints(d):
    for path, value in WANTED.items():
        if at(d, path) != value:
            yield f"{path}: expected {value!r}, found {at(d, path)!r}"
    yield from (f"{path} is missing" for path in PRESENT if at(d, path) in (None, "", 0))
    yield from (f"{path} must not be there" for path in FORBIDDEN if at(d, path))
    if len(at(d, POD + ".containers")) != 1:
        yield "more than one container"


def ports(d):
    return {p["name"] for p in at(d, BOX + ".ports")}


def reference_complaints(docs):
    """What one document names, another has."""
    d = docs[("Deployment", "xylem")]
    labels = at(d, "spec.template.metadata.labels")
    selectors = {"Deployment": at(d, "spec.selector.matchLabels"),
                 "Service": at(docs[("Service", "xylem")], "spec.selector"),
                 "PodDisruptionBudget": at(docs[("PodDisruptionBudget", "xylem")],
                                           "spec.selector.matchLabels")}
    for kind, wanted in selectors.items():
        if not wanted or not wanted.items() <= labels.items():
            yield f"{kind} selects {wanted}, the pods have {labels}"
    if ("ServiceAccount", at(d, POD + ".serviceAccountName")) not in docs:
        yield "no such ServiceAccount"
    for volume in at(d, POD + ".volumes"):
        if ("ConfigMap", at(volume, "configMap.name")) not in docs:
            yield f"no such ConfigMap: {volume}"
    mounts = {m["name"]: m["mountPath"] for m in at(d, BOX + ".volumeMounts")}
    if set(mounts) != {v["name"] for v in at(d, POD + ".volumes")}:
        yield "volumes and mounts differ"
    args = at(d, BOX + ".args")
    if Path(args[args.index("--config-path") + 1]).parent != Path(mounts["bootstrap"]):
        yield "--config-path is not where the ConfigMap is mounted"
    used = [p["targetPort"] for p in at(docs[("Service", "xylem")], "spec.ports")]
    used += [at(d, f"{BOX}.{probe}.{how}.port") for probe, how in (
        ("readinessProbe", "httpGet"), ("startupProbe", "tcpSocket"), ("livenessProbe", "tcpSocket"))]
    yield from (f"no port is named {name}" for name in used if name not in ports(d))


def spoil(docs, kind, path, value):
    docs = copy.deepcopy(docs)
    *parents, last = path.split(".")
    thing = docs[(kind, "xylem")]
    for key in parents:
        thing = thing[int(key)] if isinstance(thing, list) else thing.setdefault(key, {})
    thing[last] = value
    return docs


SPOILED = [("Deployment", path, None) for path in [*WANTED, *PRESENT]] + [
    ("Deployment", path, True) for path in FORBIDDEN] + [
    ("Deployment", BOX + ".securityContext.capabilities.drop", ["NET_RAW"]),
    ("Deployment", "spec.selector.matchLabels", {"app": "other"}),
    ("Deployment", POD + ".serviceAccountName", "other"),
    ("Deployment", POD + ".volumes.0.configMap.name", "other"),
    ("Deployment", BOX + ".volumeMounts.0.mountPath", "/elsewhere"),
    ("Deployment", BOX + ".livenessProbe.tcpSocket.port", "nowhere"),
    ("Service", "spec.selector", {"app": "other"}),
    ("Service", "spec.ports.0.targetPort", "nowhere"),
    ("PodDisruptionBudget", "spec.selector.matchLabels", {})]


def complaints(docs):
    return [*deployment_complaints(docs[("Deployment", "xylem")]), *reference_complaints(docs)]


def test_manifests():
    docs = documents()
    for document in docs.values():
        assert document["apiVersion"] and document["metadata"]["name"]
    assert complaints(docs) == []


@pytest.mark.parametrize("kind_of_document, path, value", SPOILED)
def test_a_spoiled_manifest_is_noticed(kind_of_document, path, value):
    assert complaints(spoil(documents(), kind_of_document, path, value))


def bootstrap_text():
    return documents()[("ConfigMap", "xylem-bootstrap")]["data"]["bootstrap.yaml"]


def test_the_bootstrap_is_valid(kind, tmp_path):
    (tmp_path / "bootstrap.yaml").write_text(bootstrap_text())
    code, out, err = run_once(kind, ["-c", "bootstrap.yaml", "--mode", "validate",
                                     "--service-node", "pod"], tmp_path)
    assert code == 0, out + err


def test_the_probes_see_little_of_the_admin_address(start, tmp_path):
    """Without the control plane, which is not here, and on addresses of this test's own."""
    config = yaml.safe_load(bootstrap_text())
    del config["dynamic_resources"]
    admin = {"pipe": {"path": str(tmp_path / "admin.sock")}}
    clusters = config["static_resources"]["clusters"]
    config["static_resources"]["clusters"] = [c for c in clusters if c["name"] == "admin"]
    endpoint, = config["static_resources"]["clusters"][0]["load_assignment"]["endpoints"][0][
        "lb_endpoints"]
    assert endpoint["endpoint"]["address"] == config["admin"]["address"]
    endpoint["endpoint"]["address"] = config["admin"]["address"] = admin
    config["static_resources"]["listeners"][0]["address"]["socket_address"].update(
        address="127.0.0.1", port_value=0)
    proxy = start(config)
    assert proxy.get("/ready", name="probes").text == "LIVE\n"
    assert "server_live" in proxy.get("/stats/prometheus", name="probes").text
    for method, path in (("POST", "/quitquitquit"), ("GET", "/config_dump"), ("POST", "/ready"),
                         ("GET", "/"), ("GET", "/ready/../config_dump")):
        assert proxy.request(method, path, name="probes").status == 404


@pytest.mark.only("xylem", "the image is of Xylem")
def test_the_image_has_the_libraries(kind):
    """Each library that the program names comes with a package that the recipe installs."""
    recipe = (FOLDER / "Dockerfile").read_text()
    installed = set(re.search(r"--no-install-recommends \\\n((?:.*\\\n)*)", recipe)[1]
                    .replace("\\", " ").partition("&&")[0].split())
    linked = subprocess.run(["ldd", str(binary(kind))], capture_output=True, text=True, check=True)
    paths = dict(re.findall(r"(\S+) => (\S+)", linked.stdout))
    named = subprocess.run(["readelf", "-d", str(binary(kind))], capture_output=True, text=True,
                           check=True).stdout
    names = [n for n in re.findall(r"\(NEEDED\).*\[(.+)\]", named) if n in paths]
    assert len(names) > 5
    for name in names:
        assert package_of(paths[name]) in installed, f"{name} is in no package of the Dockerfile"


def package_of(path):
    """Debian knows a file by the name it was shipped under, with or without /usr."""
    real = os.path.realpath(path)
    for candidate in (real, real.removeprefix("/usr"), path, path.removeprefix("/usr")):
        found = subprocess.run(["dpkg-query", "-S", candidate], capture_output=True, text=True,
                               check=False)
        if found.returncode == 0:
            return found.stdout.split(":")[0]
    return None

"""Bootstraps and resources for scenarios with a control plane."""
from .config import bootstrap, cluster, hcm, load_assignment, socket_address, vhost
from .stub import key_of, resource

ADS = {"ads": {}, "resource_api_version": "V3"}
STATE_OF_THE_WORLD, DELTA = "GRPC", "DELTA_GRPC"  # the dialects, as api_type
H2 = {"explicit_http_config": {"http2_protocol_options": {}}}


def ads_bootstrap(stub, clusters=(), listeners=(), node="test", grpc=None, cds=True, lds=True,
                  api_type=STATE_OF_THE_WORLD, **fields):
    """A bootstrap that gets everything over one ADS stream from the stub."""
    dynamic = {"ads_config": {
        "api_type": api_type, "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": "xds", **(grpc or {})}}]}}
    if cds:
        dynamic["cds_config"] = dict(ADS, **fields.pop("cds_fields", {}))
    if lds:
        dynamic["lds_config"] = dict(ADS, **fields.pop("lds_fields", {}))
    return bootstrap(
        listeners, [xds_cluster(stub), *clusters], node={"id": node, "cluster": "e2e"},
        dynamic_resources=dynamic, **fields)


def api_source(api_type, cluster_name="xds"):
    """A source with a stream of its own."""
    return {"resource_api_version": "V3", "api_config_source": {
        "api_type": api_type, "transport_api_version": "V3",
        "grpc_services": [{"envoy_grpc": {"cluster_name": cluster_name}}]}}


def xds_cluster(stub, **fields):
    made = cluster("xds", stub.xds_port, http=H2, **fields)
    return made


def eds_cluster(name, **fields):
    """A cluster whose endpoints come over ADS."""
    return resource("cds", {
        "name": name, "type": "EDS", "connect_timeout": "5s",
        "eds_cluster_config": {"eds_config": dict(ADS, **fields.pop("eds_fields", {}))}, **fields})


def static_cluster(name, *targets, **fields):
    return resource("cds", cluster(name, *targets, **fields))


def names_of(request):
    """The names that a request asks for, in either dialect."""
    return request.get("resource_names") or request.get("resource_names_subscribe")


def wanted(control, kind):
    """The names that the newest stream of a type asks for, after all its requests, in either
    dialect."""
    requests = control.requests(kind)
    names = set()
    for request in requests:
        if request["stream"] != requests[-1]["stream"]:
            continue
        if "resource_names" in request:
            names = set(request["resource_names"])
        else:
            names |= set(request.get("resource_names_subscribe", []))
            names -= set(request.get("resource_names_unsubscribe", []))
    return sorted(names)


def literal(dialect, version, *resources, **more):
    """The fields of a response in the dialect, for Stub.send: resources at one version, bare or
    wrapped in a Resource with its own."""
    if dialect == STATE_OF_THE_WORLD:
        return {"version_info": version, "resources": resources, **more}
    made = []
    for one in resources:
        if one["@type"].endswith(".discovery.v3.Resource"):
            made.append({key: value for key, value in one.items() if key != "@type"})
        else:
            made.append({"name": key_of(one)[1], "version": version, "resource": one})
    return {"system_version_info": version, "resources": made, **more}


def endpoints(name, *targets):
    return resource("eds", load_assignment(name, *targets))


def rds_listener(name="ingress", routes="routes", address=None, listener=None, **manager):
    """A listener whose routes come over ADS."""
    return resource("lds", {
        "name": name, "address": address or socket_address(),
        "filter_chains": [{"filters": [hcm(rds=routes, **manager)]}], **(listener or {})})


def listener(name="ingress", address=None, **manager):
    """A listener with its routes inline."""
    return resource("lds", {"name": name, "address": address or socket_address(),
                            "filter_chains": [{"filters": [hcm(**manager)]}]})


def routes(*made, name="routes", **fields):
    return resource("rds", {"name": name, "virtual_hosts": [vhost("all", ["*"], *made)], **fields})

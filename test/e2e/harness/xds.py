"""Bootstraps and resources for scenarios with a control plane."""
from .config import bootstrap, cluster, hcm, load_assignment, socket_address, vhost
from .stub import resource

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

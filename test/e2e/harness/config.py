"""Short builders for bootstraps and resources. JSON is YAML, so one text serves both."""

HCM = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3." \
      "HttpConnectionManager"
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
FILE_LOG = "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog"
HTTP_OPTIONS = "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def socket_address(port=0, address="127.0.0.1"):
    return {"socket_address": {"address": address, "port_value": port}}


def admin_block(address="127.0.0.1"):
    return {"address": socket_address(0, address)}


def router_filter(**fields):
    return {"name": "envoy.filters.http.router", "typed_config": {"@type": ROUTER, **fields}}


def endpoint(target, **fields):
    """An lb_endpoint for an Origin, a port, an (address, port) pair or a full address."""
    outer = {key: fields.pop(key) for key in ("health_status", "load_balancing_weight", "metadata")
             if key in fields}
    if isinstance(target, dict):
        address = target
    elif isinstance(target, int):
        address = socket_address(target)
    elif isinstance(target, tuple):
        address = socket_address(target[1], target[0])
    elif target.path:
        address = {"pipe": {"path": str(target.path)}}
    else:
        address = socket_address(target.port, target.address)
    return {"endpoint": {"address": address, **fields}, **outer}


def is_endpoint(target):
    return isinstance(target, dict) and "endpoint" in target


def cluster(name, *targets, http=None, **fields):
    """A cluster (STATIC unless told) with one locality that holds the given endpoints."""
    made = {"name": name, "type": "STATIC", "connect_timeout": "5s"}
    if fields.get("type") != "EDS" and "load_assignment" not in fields:
        made["load_assignment"] = load_assignment(name, *targets)
    if http is not None:
        made["typed_extension_protocol_options"] = {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions":
                {"@type": HTTP_OPTIONS, "explicit_http_config": {"http_protocol_options": {}},
                 **http}}
    made.update(fields)
    return made


def load_assignment(name, *targets):
    ends = [t if is_endpoint(t) else endpoint(t) for t in targets]
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": ends}] if ends else []}


def route(prefix=None, to=None, match=None, **action):
    """A route: prefix or a full match; to is a cluster's name. Route-level fields are split off."""
    outer = {key: action.pop(key) for key in (
        "name", "metadata", "request_headers_to_add", "request_headers_to_remove",
        "response_headers_to_add", "response_headers_to_remove", "typed_per_filter_config")
        if key in action}
    if to is not None:
        action["cluster"] = to
    return {"match": match or {"prefix": prefix or "/"}, "route": action, **outer}


def direct(status, body=None, prefix=None, match=None, **outer):
    answer = {"status": status}
    if body is not None:
        answer["body"] = {"inline_string": body}
    return {"match": match or {"prefix": prefix or "/"}, "direct_response": answer, **outer}


def redirect(prefix=None, match=None, **fields):
    return {"match": match or {"prefix": prefix or "/"}, "redirect": fields}


def vhost(name, domains, *routes, **fields):
    return {"name": name, "domains": list(domains), "routes": list(routes), **fields}


def hcm(routes=None, vhosts=None, rds=None, route_config=None, filters=None, **fields):
    """An HTTP connection manager as a network filter."""
    config = {"@type": HCM, "stat_prefix": "ingress"}
    if rds is not None:
        config["rds"] = {"route_config_name": rds,
                         "config_source": {"ads": {}, "resource_api_version": "V3"}}
    else:
        hosts = vhosts if vhosts is not None else [vhost("all", ["*"], *(routes or []))]
        config["route_config"] = {"name": "local", "virtual_hosts": hosts, **(route_config or {})}
    config["http_filters"] = filters if filters is not None else [router_filter()]
    config.update(fields)
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": config}


def http_listener(name="ingress", address=None, listener=None, **manager):
    """A listener on a port of the kernel's choice with one HTTP connection manager."""
    return {"name": name, "address": address or socket_address(),
            "filter_chains": [{"filters": [hcm(**manager)]}], **(listener or {})}


def api_listener(name, resource):
    return {"@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": name,
            **resource}


def bootstrap(listeners=(), clusters=(), **fields):
    """A bootstrap with an admin port and static resources."""
    return {"admin": admin_block(),
            "static_resources": {"listeners": list(listeners), "clusters": list(clusters)},
            **fields}


def file_log(path, fmt=None, **fields):
    config = {"@type": FILE_LOG, "path": str(path), **fields}
    if fmt is not None:
        config["log_format"] = {"text_format_source": {"inline_string": fmt}}
    return {"name": "envoy.access_loggers.file", "typed_config": config}


def add_header(key, value, action=None):
    made = {"header": {"key": key, "value": value}}
    if action:
        made["append_action"] = action
    return made

"""A proxy whose route retries: for p_retry.py."""
from harness.config import bootstrap, cluster, file_log, http_listener, route, vhost

LOG = ("%RESPONSE_CODE% %RESPONSE_FLAGS% %RESPONSE_CODE_DETAILS% "
       "%UPSTREAM_REQUEST_ATTEMPT_COUNT%\n")
COUNTED = {"include_request_attempt_count": True, "include_attempt_count_in_response": True,
           "include_is_timeout_retry_header": True}
QUICK = {"base_interval": "0.001s"}


class Setup:
    """A proxy with one route, its log, and what is asked of them."""

    def __init__(self, start, tmp_path, targets, policy=None, vhost_policy=None, listener=None,
                 virtual_host=None, breakers=None, hcm=None, route_fields=None, of_cluster=None,
                 **action):
        self.log = tmp_path / "log"
        if policy is not None:
            action["retry_policy"] = {"retry_back_off": QUICK, **policy}
        fields = {**COUNTED, **(virtual_host or {})}
        if vhost_policy is not None:
            fields["retry_policy"] = {"retry_back_off": QUICK, **vhost_policy}
        made = {**route("/", "one", **action), **(route_fields or {})}
        ingress = http_listener(vhosts=[vhost("v", ["*"], made, **fields)],
                                access_log=[file_log(self.log, LOG)], **(hcm or {}))
        ingress.update(listener or {})
        extra = dict(of_cluster or {})
        if breakers:
            extra["circuit_breakers"] = {"thresholds": [breakers]}
        self.proxy = start(bootstrap([ingress], [cluster("one", *targets, **extra)]))

    def stat(self, name):
        return self.proxy.stats().get("cluster.one." + name)

    def lines(self):
        self.proxy.stop()
        return self.log.read_text().splitlines()

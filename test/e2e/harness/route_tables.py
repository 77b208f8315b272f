"""Random route tables, and requests that look for their edges; a seed always makes the same."""
import random

from .config import add_header, route, vhost

PATHS = ["/", "/a", "/a/", "/a/b", "/a/b/c", "/ab", "/A/B", "/api/v1/users", "/api", "/x.y/z",
         "/a//b", "/a/./b", "/a/../b", "/%61/b", "/a%2Fb", "/a;p=1/b", "/~u", "/a/b/"]
HOSTS = ["a.test", "b.test", "www.a.test", "x.www.a.test", "a.example", "a.example.com", "A.Test",
         "a.test:80", "a.test:8080", "b.test:443", "10.0.0.1", "[::1]", "test", "-a.test"]
DOMAINS = ["a.test", "b.test", "*.a.test", "*.www.a.test", "a.*", "a.example.*", "*.test",
           "*-a.test", "a.test:80", "a.test:8080", "10.0.0.1", "b.*", "A.EXAMPLE", "*st", "www.*"]
NAMES = ["x-one", "x-two", "accept", "x-path", "via", "X-Mixed", "user-agent"]
VALUES = ["one", "two", "1", "5", "10", "", "a b", "one,two", "c1", "/new/path"]
QUERIES = ["", "?", "?k=one", "?k=two&j=1", "?j", "?k=", "?k=one&k=two", "?a=/b?c", "?k=%6f"]
FORMATS = ["plain", "%REQ(x-one)%", "%REQ(x-none?x-two):2%", "%PROTOCOL%", "a%%b",
           "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%", "%REQ(:PATH)%", "%REQ(:AUTHORITY)%-%REQ(HOST)%",
           "%ROUTE_NAME%", "%VIRTUAL_CLUSTER_NAME%", "%RESPONSE_FLAGS%", "%RESP(x-origin)%",
           "%RESPONSE_CODE%", "%UPSTREAM_CLUSTER%", "%REQUESTED_SERVER_NAME%", "%BYTES_RECEIVED%",
           "%REQ(x-two)%, %REQ(x-two)%", "%RESPONSE_CODE_DETAILS%", "%RESP(:STATUS)%"]
ACTIONS = ["APPEND_IF_EXISTS_OR_ADD", "ADD_IF_ABSENT", "OVERWRITE_IF_EXISTS_OR_ADD",
           "OVERWRITE_IF_EXISTS"]


class Maker:
    """Makes one table after the numbers of its seed."""

    def __init__(self, seed, clusters):
        self.r = random.Random(seed)
        self.clusters = clusters
        self.count = 0

    def maybe(self, share=0.3):
        return self.r.random() < share

    def some(self, things, most):
        return [self.r.choice(things) for _ in range(self.r.randint(0, most))]

    # --- parts ---

    def string(self):
        kind = self.r.choice(["exact", "prefix", "suffix", "contains", "safe_regex"])
        text = self.r.choice(["one", "two", "o", "1", "e"])
        if kind == "safe_regex":
            return {kind: {"regex": self.r.choice([".*", "o.*", "[0-9]+", "one|two"])}}
        made = {kind: text}
        if self.maybe():
            made["ignore_case"] = True
        return made

    def header_matcher(self):
        made = {"name": self.r.choice(NAMES)}
        kind = self.r.choice(["string", "present", "absent", "range", "name"])
        if kind == "string":
            made["string_match"] = self.string()
        elif kind == "range":
            made["range_match"] = {"start": 1, "end": self.r.choice([2, 6, 100])}
        elif kind != "name":
            made["present_match"] = kind == "present"
        if self.maybe():
            made["invert_match"] = True
        if self.maybe():
            made["treat_missing_header_as_empty"] = True
        return made

    def match(self):
        kind = self.r.choice(["prefix", "prefix", "path", "path_separated_prefix", "safe_regex"])
        path = self.r.choice(PATHS)
        if kind == "path_separated_prefix":
            path = path.rstrip("/") or "/a"
        made = {kind: path}
        if kind == "safe_regex":
            made = {kind: {"regex": self.r.choice(["/a.*", "/[a-z]+/b", "/api/v[0-9]/.*", ".*b",
                                                   "/(a|x).*"])}}
        elif self.maybe():
            made["case_sensitive"] = False
        if self.maybe(0.2):
            made["headers"] = [self.header_matcher() for _ in range(self.r.randint(1, 2))]
        if self.maybe(0.15):
            made["query_parameters"] = [{"name": self.r.choice("kj"), **self.r.choice(
                [{}, {"present_match": True}, {"string_match": self.string()}])}]
        return made

    def mutations(self, share=0.3):
        """Headers to add and to remove, in both directions."""
        made = {}
        for side in ("request", "response"):
            if self.maybe(share):
                made[f"{side}_headers_to_add"] = [self.addition() for _ in range(
                    self.r.randint(1, 3))]
            if self.maybe(share / 2):
                made[f"{side}_headers_to_remove"] = [self.r.choice(
                    ["x-one", "x-two", "x-origin", "x-added", "accept", "x-many", "via"])]
        return made

    def addition(self):
        name = self.r.choice(["x-added", "x-one", "x-many", "x-origin", "accept", "X-Case",
                              "via", "cache-control"])
        made = add_header(name, self.r.choice(FORMATS), self.r.choice([None, *ACTIONS]))
        if self.maybe():
            made["keep_empty_value"] = True
        return made

    def regex_rewrite(self):
        pattern, substitution = self.r.choice([
            ("^/a/(.*)$", "/r/\\1"), ("(.)/", "\\1-"), ("b", ""),
            ("^/([^/]+)(/.*)?$", "\\2/\\1"), ("x+", "."), ("[A-Z]", "\\0\\0")])
        return {"pattern": {"regex": pattern}, "substitution": substitution}

    # --- actions ---

    def forward(self, match):
        made = {}
        target = self.r.choice(["cluster", "cluster", "weighted", "header"])
        if target == "cluster":
            made["cluster"] = self.r.choice([*self.clusters, "nosuch"])
        elif target == "header":
            made["cluster_header"] = "x-cluster"
        else:
            made["weighted_clusters"] = {"header_name": "x-pick", "clusters": [
                {"name": name, "weight": self.r.randint(0 if i else 1, 5), **self.mutations(0.2),
                 **({"host_rewrite_literal": "weight.test"} if self.maybe(0.1) else {})}
                for i, name in enumerate(self.clusters)]}
        if self.maybe():
            made["prefix_rewrite"] = self.r.choice(["/", "/new", "/new/", "/new?q=1"])
        elif self.maybe():
            made["regex_rewrite"] = self.regex_rewrite()
        if self.maybe(0.4):
            made.update(self.r.choice([
                {"host_rewrite_literal": "new.test"}, {"host_rewrite_header": "x-two"},
                {"auto_host_rewrite": True},
                {"host_rewrite_path_regex": {"pattern": {"regex": "^/([a-z]+).*$"},
                                             "substitution": "\\1.path.test"}}]))
        if self.maybe(0.2):
            made["append_x_forwarded_host"] = True
        if self.maybe(0.2):
            made["cluster_not_found_response_code"] = self.r.choice(["NOT_FOUND",
                                                                     "SERVICE_UNAVAILABLE"])
        if self.maybe(0.2):
            made["timeout"] = self.r.choice(["0s", "20s", "1.5s"])
        return {"route": made}

    def redirect(self, match):
        made = {}
        if self.maybe(0.5):
            made.update(self.r.choice([{"https_redirect": True}, {"scheme_redirect": "https"},
                                       {"scheme_redirect": "HTTP"}, {"https_redirect": False}]))
        if self.maybe():
            made["host_redirect"] = self.r.choice(["new.test", "new.test:8443", "[::2]"])
        if self.maybe():
            made["port_redirect"] = self.r.choice([80, 443, 8080])
        if self.maybe(0.6):
            made.update(self.r.choice([
                {"path_redirect": "/new"}, {"path_redirect": "/new?x=1"},
                {"prefix_rewrite": "/new/"}, {"regex_rewrite": self.regex_rewrite()}]))
        if self.maybe():
            made["strip_query"] = True
        if self.maybe():
            made["response_code"] = self.r.choice(["FOUND", "SEE_OTHER", "TEMPORARY_REDIRECT",
                                                   "PERMANENT_REDIRECT"])
        return {"redirect": made}

    def answer(self, match):
        made = {"status": self.r.choice([200, 201, 204, 302, 304, 403, 500])}
        if made["status"] not in (204, 304) and self.maybe(0.7):
            made["body"] = {"inline_string": self.r.choice(["", "text", "{}"])}
        return {"direct_response": made}

    def route(self):
        match = self.match()
        self.count += 1
        action = self.r.choice([self.forward, self.forward, self.redirect, self.answer])
        made = {"match": match, **action(match), **self.mutations()}
        if self.maybe(0.7):
            made["name"] = f"r{self.count}"
        return made

    # --- the whole ---

    def virtual_hosts(self):
        names = list(DOMAINS)
        self.r.shuffle(names)
        hosts = []
        while names:
            mine = [names.pop() for _ in range(min(len(names), self.r.randint(1, 3)))]
            if self.maybe(0.2):
                mine.append(f"only{len(hosts)}.test")
            made = vhost(f"v{len(hosts)}", mine, *(self.route() for _ in range(6)),
                         **self.mutations())
            for field in ("include_request_attempt_count", "include_attempt_count_in_response"):
                if self.maybe(0.2):
                    made[field] = True
            if self.maybe(0.1):
                made["require_tls"] = self.r.choice(["ALL", "EXTERNAL_ONLY", "NONE"])
            hosts.append(made)
        if self.maybe(0.8):
            hosts.append(vhost("rest", ["*"], *(self.route() for _ in range(4)),
                               route("/", to=self.clusters[0])))
        return hosts

    def manager(self):
        """Fields of the connection manager, with the routes."""
        table = self.mutations(0.5)
        for field in ("most_specific_header_mutations_wins", "ignore_port_in_host_matching"):
            if self.maybe(0.4):
                table[field] = True
        if self.maybe():
            table["internal_only_headers"] = ["x-one"]
        made = {"vhosts": self.virtual_hosts(), "route_config": {**table, "validate_clusters": False}}
        for field in ("normalize_path", "merge_slashes", "use_remote_address", "skip_xff_append",
                      "strip_any_host_port", "strip_trailing_host_dot", "add_user_agent",
                      "preserve_external_request_id", "always_set_request_id_in_response"):
            if self.maybe(0.25):
                made[field] = True
        if self.maybe():
            made["server_header_transformation"] = self.r.choice(
                ["OVERWRITE", "APPEND_IF_ABSENT", "PASS_THROUGH"])
        if self.maybe(0.2):
            made["via"] = "proxy"
        if self.maybe(0.2):
            made["xff_num_trusted_hops"] = self.r.randint(1, 2)
        if self.maybe(0.2):
            made["path_with_escaped_slashes_action"] = self.r.choice(
                ["KEEP_UNCHANGED", "REJECT_REQUEST", "UNESCAPE_AND_REDIRECT",
                 "UNESCAPE_AND_FORWARD"])
        return made

    def request(self):
        """(method, path, host, headers)"""
        headers = [(name, self.r.choice(VALUES)) for name in self.some(NAMES, 4)]
        headers.append(("x-pick", str(self.r.randint(0, 20))))  # of the weighted clusters
        if self.maybe(0.4):
            headers.append(("x-cluster", self.r.choice([*self.clusters, "nosuch", ""])))
        if self.maybe(0.2):
            headers.append(("x-forwarded-for", self.r.choice(["1.2.3.4", "10.0.0.1, 9.9.9.9"])))
        if self.maybe(0.2):
            headers.append(("x-forwarded-proto", self.r.choice(["http", "https"])))
        if self.maybe(0.1):
            headers.append(("x-envoy-original-path", "/was"))
        if self.maybe(0.1):
            headers.append(("x-forwarded-host", "first.test"))
        path = self.r.choice(PATHS) + self.r.choice(["", "", "c", "/c", "/B"]) + self.r.choice(
            QUERIES)
        host = self.r.choice([*HOSTS, "only1.test", "nobody.invalid"])
        return self.r.choice(["GET", "GET", "GET", "HEAD", "PUT"]), path, host, headers

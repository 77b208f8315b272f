"""A world of many clusters and routes over ADS, for what is about scale."""
from .config import route
from .xds import eds_cluster, endpoints, rds_listener, routes


class World:
    """N EDS clusters of two endpoints and one table of N routes, /cN/ to cluster cN; or those of
    some numbers."""

    def __init__(self, size, origins, numbers=None):
        self.size, self.origins = size, origins
        self.numbers = range(size) if numbers is None else numbers
        self.middle = size // 2

    def table(self, first=(), **middle):
        """The routes; `middle`: more fields of the one in the middle."""
        return routes(*first, *[route(f"/c{n}/", f"c{n}", **(middle if n == self.middle else {}))
                                for n in self.numbers])

    def clusters(self):
        return [eds_cluster(f"c{n}") for n in self.numbers]

    def endpoints(self):
        return [endpoints(f"c{n}", *self.origins) for n in self.numbers]

    def resources(self):
        return [rds_listener(), self.table(), *self.clusters(), *self.endpoints()]

#include "admin/admin_guard.h"

#include "suite.h"

static bool allowed(const char *method, const char *host, const char *origin, const char *site,
                    bool loopback)
{
    struct admin_caller c = {.method = bytes_of(method),
                             .host = bytes_of(host),
                             .origin = bytes_of(origin),
                             .fetch_site = bytes_of(site),
                             .loopback = loopback};
    return admin_guard(&c) == NULL;
}

START_TEST(programs_are_not_concerned)
{
    ck_assert(allowed("GET", "any.example", NULL, NULL, true));
    ck_assert(allowed("POST", "any.example:9901", NULL, NULL, true));
    ck_assert(allowed("POST", "", NULL, NULL, false));
}
END_TEST

START_TEST(other_sites_change_nothing)
{
    ck_assert(allowed("POST", "localhost:9901", "http://localhost:9901", "same-origin", true));
    ck_assert(allowed("POST", "127.0.0.1:9901", "https://127.0.0.1:9901", NULL, true));
    ck_assert(!allowed("POST", "localhost:9901", "http://localhost:8080", NULL, true));
    ck_assert(!allowed("POST", "localhost:9901", "http://evil.example", NULL, true));
    ck_assert(!allowed("POST", "10.0.0.1:9901", "http://evil.example", NULL, false));
    ck_assert(!allowed("POST", "localhost:9901", "null", NULL, true));
    ck_assert(!allowed("POST", "localhost:9901", "", NULL, true));
    ck_assert(!allowed("POST", "localhost:9901", NULL, "cross-site", true));
    ck_assert(!allowed("PUT", "localhost:9901", "http://evil.example", NULL, true));
    ck_assert(allowed("GET", "localhost:9901", "http://evil.example", "cross-site", true));
}
END_TEST

START_TEST(names_that_point_here_read_nothing)
{
    ck_assert(!allowed("GET", "evil.example:9901", NULL, "same-origin", true));
    ck_assert(!allowed("POST", "evil.example:9901", "http://evil.example:9901", NULL, true));
    ck_assert(!allowed("GET", "[evil]:9901", NULL, "same-origin", true));
    ck_assert(!allowed("GET", "", NULL, "same-origin", true));
    ck_assert(allowed("GET", "LocalHost", NULL, "none", true));
    ck_assert(allowed("GET", "a.localhost:1", NULL, "none", true));
    ck_assert(allowed("GET", "[::1]:9901", NULL, "none", true));
    ck_assert(allowed("GET", "10.1.2.3:9901", NULL, "none", true));
    ck_assert(allowed("GET", "proxy.example:9901", NULL, "same-origin", false));
}
END_TEST

SUITE("admin_guard", programs_are_not_concerned, other_sites_change_nothing,
      names_that_point_here_read_nothing)

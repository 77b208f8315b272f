#include "dataplane/http/http_reason.h"

#include <stddef.h>

static const char *error_reason(unsigned status)
{
    static const char *const client[32] = {
        [0] = "Bad Request",
        [1] = "Unauthorized",
        [2] = "Payment Required",
        [3] = "Forbidden",
        [4] = "Not Found",
        [5] = "Method Not Allowed",
        [6] = "Not Acceptable",
        [7] = "Proxy Authentication Required",
        [8] = "Request Timeout",
        [9] = "Conflict",
        [10] = "Gone",
        [11] = "Length Required",
        [12] = "Precondition Failed",
        [13] = "Payload Too Large",
        [14] = "URI Too Long",
        [15] = "Unsupported Media Type",
        [16] = "Range Not Satisfiable",
        [17] = "Expectation Failed",
        [21] = "Misdirected Request",
        [22] = "Unprocessable Entity",
        [23] = "Locked",
        [24] = "Failed Dependency",
        [25] = "Too Early",
        [26] = "Upgrade Required",
        [28] = "Precondition Required",
        [29] = "Too Many Requests",
        [31] = "Request Header Fields Too Large",
    };
    static const char *const server[12] = {
        [0] = "Internal Server Error",
        [1] = "Not Implemented",
        [2] = "Bad Gateway",
        [3] = "Service Unavailable",
        [4] = "Gateway Timeout",
        [5] = "HTTP Version Not Supported",
        [6] = "Variant Also Negotiates",
        [7] = "Insufficient Storage",
        [8] = "Loop Detected",
        [10] = "Not Extended",
        [11] = "Network Authentication Required",
    };
    const char *text = NULL;
    if (status < 432)
        text = client[status - 400];
    else if (status >= 500 && status < 512)
        text = server[status - 500];
    if (status == 599)
        text = "Last Unassigned Server Error Code"; /* so Envoy names it */
    return text ? text : "Unknown";
}

const char *http_reason(unsigned status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 101:
        return "Switching Protocols";
    case 102:
        return "Processing";
    case 103:
        return "Early Hints";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 203:
        return "Non-Authoritative Information";
    case 204:
        return "No Content";
    case 205:
        return "Reset Content";
    case 206:
        return "Partial Content";
    case 207:
        return "Multi-Status";
    case 208:
        return "Already Reported";
    case 226:
        return "IM Used";
    case 300:
        return "Multiple Choices";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 305:
        return "Use Proxy";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    default:
        return status >= 400 ? error_reason(status) : "Unknown";
    }
}

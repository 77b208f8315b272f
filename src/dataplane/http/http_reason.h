/* Reason phrases of status codes, in Envoy's words. Const data. */
#pragma once

const char *http_reason(unsigned status); /* "Unknown" for others */

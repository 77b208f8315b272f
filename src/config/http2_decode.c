/* Http2ProtocolOptions. Defaults are Envoy 1.40's, but for the four that its edge guide lowers. */
#include "config/decode_util.h"
#include "config/http2.h"
#include "envoy/config/core/v3/protocol.upb.h"
#include "envoy/type/v3/percent.upb.h"

#define HTTP2(f) envoy_config_core_v3_Http2ProtocolOptions_##f
#define KEEPALIVE(f) envoy_config_core_v3_KeepaliveSettings_##f

typedef envoy_config_core_v3_Http2ProtocolOptions http2_msg;

enum {
    ENABLE_PUSH = 2,
    SETTINGS_MAX_FRAME_SIZE = 5,
    ENABLE_CONNECT_PROTOCOL = 8,
    JITTER_DEFAULT = 15,
};

void http2_options_init(struct http2_options *o)
{
    *o = (struct http2_options){.hpack_table_size = 4096,
                                .max_concurrent_streams = 100,
                                .stream_window = 64 * 1024,
                                .connection_window = 1024 * 1024,
                                .max_outbound_frames = 10000,
                                .max_outbound_control = 1000,
                                .max_empty_frames = 1,
                                .max_priority_per_stream = 100,
                                .max_window_updates_per_data = 10,
                                .keepalive_jitter = JITTER_DEFAULT};
}

static bool take_keepalive(const envoy_config_core_v3_KeepaliveSettings *k, struct http2_options *o,
                           struct error *err)
{
    if (!k)
        return true;
    if (KEEPALIVE(interval_jitter)(k)) {
        double jitter = envoy_type_v3_Percent_value(KEEPALIVE(interval_jitter)(k));
        o->keepalive_jitter = jitter > 100 ? 100 : jitter > 0 ? (uint32_t)jitter : 0;
    }
    return take_duration_ms(KEEPALIVE(interval)(k), "connection_keepalive.interval",
                            &o->keepalive_interval_ms, err) &&
           take_duration_ms(KEEPALIVE(timeout)(k), "connection_keepalive.timeout",
                            &o->keepalive_timeout_ms, err) &&
           take_duration_ms(KEEPALIVE(connection_idle_interval)(k),
                            "connection_keepalive.connection_idle_interval", &o->keepalive_idle_ms,
                            err);
}

/* Those that are sent from fields of their own, or that would promise what is not done. */
static bool refused_setting(uint32_t id, struct error *err)
{
    if (id == ENABLE_PUSH)
        return error_set(err, "custom_settings_parameters: server push is not supported");
    if (id >= 1 && id <= 4)
        return error_set(err,
                         "custom_settings_parameters: the %u HTTP/2 SETTINGS parameter(s) can not "
                         "be configured through both named and custom parameters",
                         id);
    if (id == SETTINGS_MAX_FRAME_SIZE || id == ENABLE_CONNECT_PROTOCOL)
        return error_set(err, "custom_settings_parameters: parameter %u is not implemented", id);
    return true;
}

static bool take_custom(const http2_msg *m, struct http2_options *o, struct error *err)
{
    size_t n;
    const envoy_config_core_v3_Http2ProtocolOptions_SettingsParameter *const *p =
        HTTP2(custom_settings_parameters)(m, &n);
    if (n > HTTP2_CUSTOM_SETTINGS_MAX)
        return error_set(err, "custom_settings_parameters: more than %d",
                         HTTP2_CUSTOM_SETTINGS_MAX);
    for (size_t i = 0; i < n; i++) {
        struct http2_setting s = {upb_u32(HTTP2(SettingsParameter_identifier)(p[i]), 0),
                                  upb_u32(HTTP2(SettingsParameter_value)(p[i]), 0)};
        if (s.id == 0 || s.id > UINT16_MAX)
            return error_set(err, "custom_settings_parameters[%zu].identifier: expected 1 to 65535",
                             i);
        if (!refused_setting(s.id, err))
            return false;
        o->custom[o->n_custom++] = s;
    }
    return true;
}

bool http2_options_decode(const struct envoy_config_core_v3_Http2ProtocolOptions *m,
                          struct http2_options *o, struct error *err)
{
    http2_options_init(o);
    if (!m)
        return true;
    o->hpack_table_size = upb_u32(HTTP2(hpack_table_size)(m), o->hpack_table_size);
    o->max_concurrent_streams =
        upb_u32(HTTP2(max_concurrent_streams)(m), o->max_concurrent_streams);
    o->stream_window = upb_u32(HTTP2(initial_stream_window_size)(m), o->stream_window);
    o->connection_window = upb_u32(HTTP2(initial_connection_window_size)(m), o->connection_window);
    o->max_outbound_frames = upb_u32(HTTP2(max_outbound_frames)(m), o->max_outbound_frames);
    o->max_outbound_control =
        upb_u32(HTTP2(max_outbound_control_frames)(m), o->max_outbound_control);
    o->max_empty_frames =
        upb_u32(HTTP2(max_consecutive_inbound_frames_with_empty_payload)(m), o->max_empty_frames);
    o->max_priority_per_stream =
        upb_u32(HTTP2(max_inbound_priority_frames_per_stream)(m), o->max_priority_per_stream);
    o->max_window_updates_per_data =
        upb_u32(HTTP2(max_inbound_window_update_frames_per_data_frame_sent)(m),
                o->max_window_updates_per_data);
    o->stream_error = upb_bool(HTTP2(override_stream_error_on_invalid_http_message)(m),
                               HTTP2(stream_error_on_invalid_http_messaging)(m));
    o->allow_connect = HTTP2(allow_connect)(m);
    if (HTTP2(allow_metadata)(m))
        return error_set(err, "allow_metadata is not implemented");
    return take_custom(m, o, err) && take_keepalive(HTTP2(connection_keepalive)(m), o, err);
}

#include "config/cluster_protocol.h"
#include "config/decode_util.h"
#include "config/typed.h"
#include "envoy/config/cluster/v3/cluster.upb.h"
#include "envoy/config/core/v3/base.upb.h"
#include "envoy/config/core/v3/extension.upb.h"
#include "envoy/extensions/load_balancing_policies/common/v3/common.upb.h"
#include "envoy/extensions/load_balancing_policies/least_request/v3/least_request.upb.h"
#include "envoy/extensions/load_balancing_policies/random/v3/random.upb.h"
#include "envoy/extensions/load_balancing_policies/round_robin/v3/round_robin.upb.h"
#include "envoy/type/v3/percent.upb.h"

#define CLUSTER(f) envoy_config_cluster_v3_Cluster_##f
#define POLICY(f) envoy_config_cluster_v3_LoadBalancingPolicy_##f
#define LB(f) envoy_extensions_load_balancing_policies_##f

typedef envoy_config_cluster_v3_Cluster cluster_msg;
typedef envoy_extensions_load_balancing_policies_common_v3_LocalityLbConfig locality_msg;

static const char *const policy_names[] = {
    "ROUND_ROBIN", "LEAST_REQUEST", "RING_HASH",        "RANDOM",
    "4",           "MAGLEV",        "CLUSTER_PROVIDED", "LOAD_BALANCING_POLICY_CONFIG",
};

static void take_choices(struct cluster *c, const struct google_protobuf_UInt32Value *choices,
                         const envoy_config_core_v3_RuntimeDouble *bias)
{
    c->least_request_choices = upb_u32(choices, 2);
    double value = bias ? envoy_config_core_v3_RuntimeDouble_default_value(bias) : 1.0;
    c->active_request_bias = value >= 0.0 ? value : 1.0; /* neither negative nor NaN */
}

static bool check_locality(const locality_msg *m, struct error *err)
{
    if (m && LB(common_v3_LocalityLbConfig_locality_weighted_lb_config)(m))
        return error_set(err, "locality_lb_config.locality_weighted_lb_config is not implemented");
    return true;
}

static bool take_least_request(struct cluster *c, struct bytes value, upb_Arena *arena,
                               struct error *err)
{
    const envoy_extensions_load_balancing_policies_least_request_v3_LeastRequest *m =
        LB(least_request_v3_LeastRequest_parse)(value.data, value.len, arena);
    if (!m)
        return error_set(err, "the bytes are no LeastRequest");
    c->lb_policy = LB_LEAST_REQUEST;
    c->least_request_scan = LB(least_request_v3_LeastRequest_selection_method)(m) ==
                            LB(least_request_v3_LeastRequest_FULL_SCAN);
    take_choices(c, LB(least_request_v3_LeastRequest_choice_count)(m),
                 LB(least_request_v3_LeastRequest_active_request_bias)(m));
    return check_locality(LB(least_request_v3_LeastRequest_locality_lb_config)(m), err);
}

/* 1: taken; 0: not one of ours; -1: error. */
static int take_typed_policy(struct cluster *c, const struct typed *t, upb_Arena *arena,
                             struct error *err)
{
#define IS(name) bytes_eq_str(t->type_name, "envoy.extensions.load_balancing_policies." name)
    if (IS("least_request.v3.LeastRequest"))
        return take_least_request(c, t->value, arena, err) ? 1 : -1;
    if (IS("round_robin.v3.RoundRobin")) {
        const envoy_extensions_load_balancing_policies_round_robin_v3_RoundRobin *m =
            LB(round_robin_v3_RoundRobin_parse)(t->value.data, t->value.len, arena);
        c->lb_policy = LB_ROUND_ROBIN;
        if (!m)
            error_set(err, "the bytes are no RoundRobin");
        return m && check_locality(LB(round_robin_v3_RoundRobin_locality_lb_config)(m), err) ? 1
                                                                                             : -1;
    }
    if (IS("random.v3.Random")) {
        const envoy_extensions_load_balancing_policies_random_v3_Random *m =
            LB(random_v3_Random_parse)(t->value.data, t->value.len, arena);
        c->lb_policy = LB_RANDOM;
        if (!m)
            error_set(err, "the bytes are no Random");
        return m && check_locality(LB(random_v3_Random_locality_lb_config)(m), err) ? 1 : -1;
    }
    return 0;
#undef IS
}

/* The first policy of the list that is known is taken, as Envoy does. */
static bool take_policy_list(struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                             struct error *err)
{
    size_t n;
    const envoy_config_cluster_v3_LoadBalancingPolicy *list = CLUSTER(load_balancing_policy)(m);
    if (!list)
        return error_set(err, "cluster: field load_balancing_policy need to be set");
    const envoy_config_cluster_v3_LoadBalancingPolicy_Policy *const *policies =
        POLICY(policies)(list, &n);
    struct strbuf names = STRBUF_INIT;
    struct arena *scratch = arena_new(0);
    upb_Arena *arena = upb_Arena_New();
    int taken = 0;
    for (size_t i = 0; i < n && taken == 0; i++) {
        const envoy_config_core_v3_TypedExtensionConfig *e =
            POLICY(Policy_typed_extension_config)(policies[i]);
        struct typed t = {BYTES_NONE, BYTES_NONE, BYTES_NONE};
        if (!e)
            continue;
        if (!take_any(ctx, scratch, envoy_config_core_v3_TypedExtensionConfig_typed_config(e), &t,
                      err))
            taken = -1;
        else
            taken = take_typed_policy(c, &t, arena, err);
        strbuf_add_str(&names, names.len ? ", " : "");
        strbuf_add_bytes(&names, upb_bytes(envoy_config_core_v3_TypedExtensionConfig_name(e)));
    }
    if (taken == 0)
        error_set(err,
                  "cluster: didn't find a registered load balancer factory implementation for "
                  "cluster: '%.*s' with names from [%s]",
                  BYTES_ARG(c->name), strbuf_str(&names));
    upb_Arena_Free(arena);
    arena_free(&scratch);
    strbuf_fini(&names);
    return taken == 1;
}

static bool take_policy(struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                        struct error *err)
{
    int32_t policy = CLUSTER(lb_policy)(m);
    const envoy_config_cluster_v3_Cluster_LeastRequestLbConfig *lr =
        CLUSTER(least_request_lb_config)(m);
    if (CLUSTER(load_balancing_policy)(m) || policy == CLUSTER(LOAD_BALANCING_POLICY_CONFIG))
        return take_policy_list(ctx, c, m, err);
    switch (policy) {
    case CLUSTER(ROUND_ROBIN):
        c->lb_policy = LB_ROUND_ROBIN;
        return true;
    case CLUSTER(LEAST_REQUEST):
        c->lb_policy = LB_LEAST_REQUEST;
        if (lr)
            take_choices(c, CLUSTER(LeastRequestLbConfig_choice_count)(lr),
                         CLUSTER(LeastRequestLbConfig_active_request_bias)(lr));
        return true;
    case CLUSTER(RANDOM):
        c->lb_policy = LB_RANDOM;
        return true;
    case CLUSTER(CLUSTER_PROVIDED):
        return error_set(
            err,
            "cluster manager: cluster provided LB specified but cluster '%.*s' did not "
            "provide one. Check cluster documentation.",
            BYTES_ARG(c->name));
    default:
        if (policy >= 0 && (size_t)policy < ARRAY_SIZE(policy_names))
            return error_set(err, "lb_policy: %s is not implemented", policy_names[policy]);
        return error_set(err, "lb_policy: %d is not known", policy);
    }
}

static bool take_common(struct cluster *c, const cluster_msg *m, struct error *err)
{
    const envoy_config_cluster_v3_Cluster_CommonLbConfig *common = CLUSTER(common_lb_config)(m);
    if (!common)
        return true;
    const envoy_type_v3_Percent *panic = CLUSTER(CommonLbConfig_healthy_panic_threshold)(common);
    const envoy_config_cluster_v3_Cluster_CommonLbConfig_ZoneAwareLbConfig *zone =
        CLUSTER(CommonLbConfig_zone_aware_lb_config)(common);
    uint64_t window_ms = 0;
    if (!take_duration_ms(CLUSTER(CommonLbConfig_update_merge_window)(common),
                          "common_lb_config.update_merge_window", &window_ms, err))
        return false;
    if (panic)
        c->healthy_panic_threshold = envoy_type_v3_Percent_value(panic);
    if (zone)
        c->fail_traffic_on_panic =
            CLUSTER(CommonLbConfig_ZoneAwareLbConfig_fail_traffic_on_panic)(zone);
    if (CLUSTER(load_balancing_policy)(m) &&
        (zone || CLUSTER(CommonLbConfig_locality_weighted_lb_config)(common) ||
         CLUSTER(CommonLbConfig_consistent_hashing_lb_config)(common)))
        return error_set(err, "common_lb_config: zone_aware_lb_config, locality_weighted_lb_config "
                              "and consistent_hashing_lb_config cannot be combined with "
                              "load_balancing_policy");
    if (CLUSTER(CommonLbConfig_locality_weighted_lb_config)(common))
        return error_set(err, "common_lb_config.locality_weighted_lb_config is not implemented");
    return true;
}

bool cluster_lb_decode(struct decode_context *ctx, struct cluster *c, const cluster_msg *m,
                       struct error *err)
{
    c->least_request_choices = 2;
    c->active_request_bias = 1.0;
    c->healthy_panic_threshold = 50;
    if (CLUSTER(lb_subset_config)(m))
        return error_set(err, "lb_subset_config is not implemented");
    return take_policy(ctx, c, m, err) && take_common(c, m, err);
}

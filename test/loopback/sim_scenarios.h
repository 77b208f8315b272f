/* What the simulations play: see sim.h. */
#pragma once

#include "sim.h"

extern const struct sim_scenario sim_scenarios[];
extern const unsigned sim_n_scenarios;

#ifndef GALAXY_LB_CLIBYAML_SHIM_H
#define GALAXY_LB_CLIBYAML_SHIM_H

#include <yaml.h>

#endif

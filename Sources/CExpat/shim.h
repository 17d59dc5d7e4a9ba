#ifndef GALAXY_LB_CEXPAT_SHIM_H
#define GALAXY_LB_CEXPAT_SHIM_H

#include <expat.h>

#endif

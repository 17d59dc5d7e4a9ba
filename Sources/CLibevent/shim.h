#ifndef GALAXY_LB_CLIBEVENT_SHIM_H
#define GALAXY_LB_CLIBEVENT_SHIM_H

// event2/event-config.h defines _GNU_SOURCE. Unless <features.h> was read before that, a module that also
// loads Dispatch (Testing, XCTest) sees two versions of the same system types and does not compile.
#include <features.h>

#include <event2/event.h>
#include <event2/event_struct.h>

// The flags of event_assign(3) as the short that it takes, which Swift would convert at every use.
enum {
  clibevent_reading = EV_READ | EV_CLOSED | EV_ET | EV_PERSIST,
  clibevent_writing = EV_WRITE | EV_ET | EV_PERSIST,
  clibevent_moment = EV_READ | EV_ET | EV_PERSIST,
};

#endif

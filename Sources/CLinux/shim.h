#ifndef GALAXY_LB_CLINUX_SHIM_H
#define GALAXY_LB_CLINUX_SHIM_H

// What the Glibc module does not show to Swift: functions behind _GNU_SOURCE (declared again here, as their
// manual pages do), and macros that take arguments.
#include <features.h>

#include <getopt.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>

int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
int pipe2(int descriptors[2], int flags);
ssize_t splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t length, unsigned flags);

enum {
  clinux_SPLICE_F_MOVE = 1,
  clinux_SPLICE_F_NONBLOCK = 2,
  clinux_SPLICE_F_MORE = 4,
  clinux_F_SETPIPE_SZ = 1031,
  clinux_SO_PEERCRED = 17,
  clinux_SO_REUSEPORT = 15,
};

// struct ucred of unix(7), which <sys/socket.h> hides without _GNU_SOURCE.
struct clinux_peer_credentials {
  int32_t process;
  uint32_t user;
  uint32_t group;
};

static inline int clinux_peer_credentials_of(int socket, struct clinux_peer_credentials *credentials) {
  socklen_t length = sizeof *credentials;
  return getsockopt(socket, SOL_SOCKET, clinux_SO_PEERCRED, credentials, &length);
}

// environ(7), which Swift 6 refuses as mutable global state. Nobody may change the environment meanwhile.
extern char **environ;
static inline char **clinux_environment(void) { return environ; }

static inline int clinux_is_socket(mode_t mode) { return S_ISSOCK(mode); }
static inline int clinux_is_regular_file(mode_t mode) { return S_ISREG(mode); }
static inline int clinux_is_directory(mode_t mode) { return S_ISDIR(mode); }

static inline int clinux_exited(int status) { return WIFEXITED(status); }
static inline int clinux_exit_status(int status) { return WEXITSTATUS(status); }
static inline int clinux_terminating_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

#endif

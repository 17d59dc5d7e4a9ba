#ifndef GALAXY_LB_CLINUX_SHIM_H
#define GALAXY_LB_CLINUX_SHIM_H

// What the Glibc module does not show to Swift: functions behind _GNU_SOURCE (declared again here, as their
// manual pages do), and macros that take arguments.
#include <features.h>

#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

int accept4(int socket, struct sockaddr *address, socklen_t *length, int flags);
int dup3(int from, int to, int flags);
int pipe2(int descriptors[2], int flags);
ssize_t splice(int from, off_t *from_offset, int to, off_t *to_offset, size_t length, unsigned flags);

enum {
  clinux_SPLICE_F_MOVE = 1,
  clinux_SPLICE_F_NONBLOCK = 2,
  clinux_SPLICE_F_MORE = 4,
  clinux_F_SETPIPE_SZ = 1031,
  clinux_F_GETPIPE_SZ = 1032,
  clinux_SO_PEERCRED = 17,
  clinux_SO_PEERGROUPS = 59,
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

// What of a socket's send buffer is used, and how large it is, as the kernel counts them (SO_MEMINFO of socket(7),
// <linux/sock_diag.h>).
struct clinux_send_buffer {
  uint32_t size;
  uint32_t used;
};

static inline int clinux_send_buffer_of(int socket, struct clinux_send_buffer *buffer) {
  uint32_t values[9] = {0};
  socklen_t length = sizeof values;
  if (getsockopt(socket, SOL_SOCKET, 55 /* SO_MEMINFO */, values, &length) < 0) return -1;
  buffer->size = values[3 /* SK_MEMINFO_SNDBUF */];
  buffer->used = values[5 /* SK_MEMINFO_WMEM_QUEUED */];
  return 0;
}

// The bytes that stand in a socket unread (FIONREAD, ioctl_tty(2), SIOCINQ of tcp(7)).
static inline int clinux_unread_bytes_of(int socket, int *count) { return ioctl(socket, FIONREAD, count); }

// How many connections wait at a listening TCP socket: what ss(8) shows as its Recv-Q (TCP_INFO, tcp(7)). -1 where that is
// not known, as for other sockets.
static inline int clinux_waiting_connections_of(int socket) {
  struct tcp_info info;
  const socklen_t wanted = offsetof(struct tcp_info, tcpi_unacked) + sizeof info.tcpi_unacked;
  socklen_t length = wanted;
  if (getsockopt(socket, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 || length < wanted) return -1;
  return info.tcpi_state == TCP_LISTEN ? (int)info.tcpi_unacked : -1;
}

// environ(7), which Swift 6 refuses as mutable global state. Nobody may change the environment meanwhile.
extern char **environ;
static inline char **clinux_environment(void) { return environ; }

// What getopt_long(3) answers and leaves in its global variables, which Swift may not read.
struct clinux_option {
  // A `val` of the table, 1 for an argument that is no option, '?' or ':' for a mistake, -1 at the end.
  int code;
  // optarg
  const char *argument;
  // optopt
  int mistaken;
  // optind
  int next;
};

// One step of getopt_long(3) without messages of its own. Not for two threads at once.
static inline struct clinux_option clinux_next_option(int count, char *const *arguments, const char *short_options,
                                                      const struct option *long_options, int restart) {
  if (restart) optind = 0;
  opterr = 0;
  optopt = 0;
  optarg = 0;
  int code = getopt_long(count, arguments, short_options, long_options, 0);
  return (struct clinux_option){.code = code, .argument = optarg, .mistaken = optopt, .next = optind};
}

int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set);

// The number of processors that this process may run on (sched_setaffinity(2), cpuset(7)); 0 when the kernel
// doesn't say.
static inline int clinux_usable_processors(void) {
  unsigned long words[1024] = {0};
  long bytes = sched_getaffinity(0, sizeof words, (cpu_set_t *)words) == 0 ? (long)sizeof words : 0;
  int count = 0;
  for (long word = 0; word < bytes / (long)sizeof *words; word++) count += __builtin_popcountl(words[word]);
  return count;
}

// posix_spawn(3) in glibc: POSIX_SPAWN_SETSID, and what it calls its own (2.29, 2.34).
enum { clinux_POSIX_SPAWN_SETSID = 0x80 };
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);
int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *actions, int from);

// pidfd_open(2) and pidfd_send_signal(2), which glibc has no functions for before 2.36.
static inline int clinux_pidfd_open(pid_t process) { return (int)syscall(SYS_pidfd_open, process, 0); }
static inline int clinux_pidfd_send_signal(int descriptor, int signal) {
  return (int)syscall(SYS_pidfd_send_signal, descriptor, signal, (void *)0, 0);
}

// The size of a terminal's window (ioctl_tty(2)).
static inline int clinux_window_size(int descriptor, struct winsize *size) { return ioctl(descriptor, TIOCGWINSZ, size); }

static inline int clinux_is_socket(mode_t mode) { return S_ISSOCK(mode); }
static inline int clinux_is_regular_file(mode_t mode) { return S_ISREG(mode); }
static inline int clinux_is_directory(mode_t mode) { return S_ISDIR(mode); }

static inline int clinux_exited(int status) { return WIFEXITED(status); }
static inline int clinux_exit_status(int status) { return WEXITSTATUS(status); }
static inline int clinux_terminating_signal(int status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

#endif

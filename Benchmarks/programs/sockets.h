/* What the programs of the benchmark share: sockets, epoll, the clock. Every function ends the program with a message
   when the kernel refuses something that the measurement can't do without. */

#ifndef SOCKETS_H
#define SOCKETS_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_A_WAIT 256

__attribute__((noreturn, format(printf, 1, 2))) static inline void die(const char *format, ...) {
  va_list arguments;
  int number = errno;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fprintf(stderr, number ? ": %s\n" : "\n", strerror(number));
  exit(1);
}

/* Nanoseconds of CLOCK_MONOTONIC. */
static inline int64_t now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* An address as it is written on the command line: unix:PATH or IPV4:PORT. */
struct address {
  struct sockaddr_storage storage;
  socklen_t length;
};

static inline struct address parse_address(const char *text) {
  struct address address = {0};
  if (strncmp(text, "unix:", 5) == 0) {
    struct sockaddr_un *name = (struct sockaddr_un *)&address.storage;
    if (strlen(text + 5) >= sizeof name->sun_path) die("%s: a unix socket's path has at most 107 bytes", text);
    name->sun_family = AF_UNIX;
    strcpy(name->sun_path, text + 5);
    address.length = sizeof *name;
    return address;
  }
  struct sockaddr_in *name = (struct sockaddr_in *)&address.storage;
  const char *colon = strrchr(text, ':');
  char host[INET_ADDRSTRLEN] = "";
  if (colon && (size_t)(colon - text) < sizeof host) memcpy(host, text, colon - text);
  name->sin_family = AF_INET;
  errno = 0;
  if (!colon || inet_pton(AF_INET, host, &name->sin_addr) != 1) die("%s: expected unix:PATH or IPV4:PORT", text);
  name->sin_port = htons(atoi(colon + 1));
  address.length = sizeof *name;
  return address;
}

static inline void set(int descriptor, int level, int option, int value) {
  if (setsockopt(descriptor, level, option, &value, sizeof value) < 0) die("setsockopt %d %d", level, option);
}

static inline int new_socket(const struct address *address) {
  int descriptor = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) die("socket");
  if (address->storage.ss_family == AF_INET) set(descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
  return descriptor;
}

static inline int listen_on(const struct address *address) {
  int descriptor = new_socket(address);
  if (address->storage.ss_family == AF_UNIX) {
    unlink(((struct sockaddr_un *)&address->storage)->sun_path);
  } else {
    set(descriptor, SOL_SOCKET, SO_REUSEADDR, 1);
    set(descriptor, SOL_SOCKET, SO_REUSEPORT, 1);
  }
  if (bind(descriptor, (struct sockaddr *)&address->storage, address->length) < 0) die("bind");
  if (listen(descriptor, 4096) < 0) die("listen");
  return descriptor;
}

/* Starts to connect. A unix socket whose backlog is full says EAGAIN: it is tried again until there is room. */
static inline int start_connecting(const struct address *address) {
  int descriptor = new_socket(address);
  while (connect(descriptor, (struct sockaddr *)&address->storage, address->length) < 0) {
    if (errno == EINPROGRESS) break;
    if (errno != EAGAIN) {
      close(descriptor);
      return -1;
    }
    usleep(1000);
  }
  return descriptor;
}

static inline void watch(int poll, int operation, int descriptor, uint32_t events, void *subject) {
  struct epoll_event event = {.events = events, .data.ptr = subject};
  if (epoll_ctl(poll, operation, descriptor, &event) < 0) die("epoll_ctl");
}

/* Tells whoever measures that everything stands, and waits until the measurement begins. */
static inline void wait_for_go(void) {
  char byte;
  puts("ready");
  fflush(stdout);
  if (read(STDIN_FILENO, &byte, 1) != 1) exit(0);
}

/* Stays, connections and all, until whoever measures has looked at everything. */
static inline void wait_for_end(void) {
  char byte;
  fflush(stdout);
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
}

#endif

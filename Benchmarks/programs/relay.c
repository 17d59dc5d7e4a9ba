/* The floor: what it costs to carry bytes between a TCP client and a unix socket, event by event, by a program that
   knows nothing of HTTP. Each client has an upstream connection of its own.

   usage: relay [--splice] [--defer] LISTEN UPSTREAM ...

   --splice  moves bytes through a pipe of 1 MiB (splice(2)) in place of copying them
   --defer   sets TCP_DEFER_ACCEPT (tcp(7)) */

#define _GNU_SOURCE
#include "sockets.h"
#include <signal.h>

#define PIECE (1 << 18)
#define PIPE (1 << 20)

struct pair;

/* One descriptor of a pair, and what was received from the other one but not sent here yet. */
struct side {
  int descriptor;
  uint32_t watched;
  struct pair *pair; /* NULL in the listener's. */
  int has_ended;     /* Its peer sends no more, and the other side was told. */
  char *unsent;      /* Without splice. */
  size_t unsent_start, unsent_end;
  int pipe[2]; /* With splice. */
};

struct pair {
  struct side client, upstream;
  int is_closed;
  struct pair *next_closed;
};

static char scratch[PIECE];
static int poller, splices;
static struct pair *closed;

static void set_interest(struct side *side, uint32_t events) {
  if (side->watched == events) return;
  watch(poller, EPOLL_CTL_MOD, side->descriptor, events, side);
  side->watched = events;
}

static void close_pair(struct pair *pair) {
  if (pair->is_closed) return;
  struct side *sides[] = {&pair->client, &pair->upstream};
  for (int index = 0; index < 2; index++) {
    close(sides[index]->descriptor);
    free(sides[index]->unsent);
    if (sides[index]->pipe[0] >= 0) {
      close(sides[index]->pipe[0]);
      close(sides[index]->pipe[1]);
    }
  }
  pair->is_closed = 1;
  pair->next_closed = closed;
  closed = pair;
}

static struct side *other(struct side *side) {
  return side == &side->pair->client ? &side->pair->upstream : &side->pair->client;
}

/* Sends what is kept for this side; -1 when it failed. */
static int flush(struct side *side) {
  while (side->unsent_start < side->unsent_end) {
    size_t length = side->unsent_end - side->unsent_start;
    ssize_t sent = splices ? splice(side->pipe[0], NULL, side->descriptor, NULL, length, SPLICE_F_NONBLOCK)
                           : send(side->descriptor, side->unsent + side->unsent_start, length, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) return -1;
    if (sent <= 0) return 0;
    side->unsent_start += sent;
  }
  free(side->unsent);
  side->unsent = NULL;
  side->unsent_start = side->unsent_end = 0;
  return 0;
}

/* Moves one piece from `from` to `to`; -1 when one of them failed, 0 at the end of `from`. */
static ssize_t move_copying(struct side *from, struct side *to) {
  ssize_t count = recv(from->descriptor, scratch, sizeof scratch, 0);
  if (count <= 0) return count;
  ssize_t sent = send(to->descriptor, scratch, count, MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return -1;
  if (sent < 0) sent = 0;
  if (sent < count) {
    to->unsent = malloc(count - sent);
    memcpy(to->unsent, scratch + sent, count - sent);
    to->unsent_end = count - sent;
  }
  return count;
}

static ssize_t move_splicing(struct side *from, struct side *to) {
  if (to->pipe[0] < 0) {
    if (pipe2(to->pipe, O_NONBLOCK | O_CLOEXEC) < 0) die("pipe2");
    fcntl(to->pipe[1], F_SETPIPE_SZ, PIPE);
  }
  ssize_t count = splice(from->descriptor, NULL, to->pipe[1], NULL, PIPE, SPLICE_F_NONBLOCK);
  if (count <= 0) return count;
  to->unsent_end = count;
  return flush(to) < 0 ? -1 : count;
}

static void receive(struct side *from) {
  struct side *to = other(from);
  if (from->has_ended) return;
  ssize_t count = splices ? move_splicing(from, to) : move_copying(from, to);
  if (count < 0 && errno == EAGAIN) return;
  if (count < 0) return close_pair(from->pair);
  if (count == 0) {
    from->has_ended = 1;
    shutdown(to->descriptor, SHUT_WR);
    if (to->has_ended) return close_pair(from->pair);
    set_interest(from, from->watched & ~(uint32_t)EPOLLIN);
  }
  if (to->unsent_end > 0) {
    set_interest(from, from->watched & ~(uint32_t)EPOLLIN);
    set_interest(to, to->watched | EPOLLOUT);
  }
}

static void handle(struct side *side, uint32_t events) {
  if (side->pair->is_closed) return;
  if (events & EPOLLOUT) {
    if (flush(side) < 0) return close_pair(side->pair);
    if (side->unsent_end == 0) {
      set_interest(side, side->watched & ~(uint32_t)EPOLLOUT);
      if (!other(side)->has_ended) set_interest(other(side), other(side)->watched | EPOLLIN);
    }
  }
  if (events & EPOLLIN && side->watched & EPOLLIN) return receive(side);
  if (events & (EPOLLERR | EPOLLHUP)) close_pair(side->pair);
}

static void start_side(struct side *side, struct pair *pair, int descriptor) {
  side->descriptor = descriptor;
  side->pair = pair;
  side->pipe[0] = side->pipe[1] = -1;
  side->watched = EPOLLIN;
  watch(poller, EPOLL_CTL_ADD, descriptor, EPOLLIN, side);
}

static void take(int listener, const struct address *upstreams, int count) {
  static int turn;
  for (;;) {
    int client = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client < 0) {
      if (errno != EAGAIN && errno != ECONNABORTED) die("accept");
      return;
    }
    int upstream = start_connecting(&upstreams[turn++ % count]);
    if (upstream < 0) die("connect to the upstream");
    struct pair *pair = calloc(1, sizeof *pair);
    start_side(&pair->client, pair, client);
    start_side(&pair->upstream, pair, upstream);
  }
}

int main(int count, char **words) {
  int first = 1, defers = 0;
  for (; first < count && words[first][0] == '-'; first++) {
    if (strcmp(words[first], "--splice") == 0) splices = 1;
    else if (strcmp(words[first], "--defer") == 0) defers = 1;
    else die("unknown option %s", words[first]);
  }
  if (count - first < 2) die("usage: relay [--splice] [--defer] LISTEN UPSTREAM ...");
  struct address address = parse_address(words[first]);
  struct address *upstreams = calloc(count, sizeof *upstreams);
  int upstream_count = 0;
  for (int index = first + 1; index < count; index++) upstreams[upstream_count++] = parse_address(words[index]);
  /* splice(2) has no MSG_NOSIGNAL. */
  signal(SIGPIPE, SIG_IGN);
  poller = epoll_create1(EPOLL_CLOEXEC);
  struct side listener = {.descriptor = listen_on(&address)};
  if (defers) set(listener.descriptor, IPPROTO_TCP, TCP_DEFER_ACCEPT, 1);
  watch(poller, EPOLL_CTL_ADD, listener.descriptor, EPOLLIN, &listener);
  for (;;) {
    struct epoll_event events[EVENTS_A_WAIT];
    int ready = epoll_wait(poller, events, EVENTS_A_WAIT, -1);
    for (int index = 0; index < ready; index++) {
      struct side *side = events[index].data.ptr;
      if (side->pair) handle(side, events[index].events);
      else take(listener.descriptor, upstreams, upstream_count);
    }
    while (closed) {
      struct pair *pair = closed;
      closed = pair->next_closed;
      free(pair);
    }
  }
}

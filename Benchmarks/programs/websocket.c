/* WebSocket messages that come back: on each connection the next one goes when the last one has returned.

   usage: websocket [--connections N] [--seconds S] [--length N] ADDRESS ...

   Messages are text frames of 1 to 125 bytes (32). Prints `ready` when every connection has switched and echoed once,
   and goes on as `load` does. */

#define _GNU_SOURCE
#include "sockets.h"

#define LONGEST 2048

struct connection {
  int descriptor, has_switched, held;
  unsigned char input[LONGEST + 1];
};

static int poller, length = 32, in_flight;
static int64_t good, failed, end;
static unsigned char frame[6 + 125], expected[2 + 125];

/* A masked text frame (RFC 6455, section 5.2), and what the echo of it looks like. */
static void make_frame(void) {
  static const unsigned char mask[4] = {0x37, 0xFA, 0x21, 0x3D};
  frame[0] = expected[0] = 0x81;
  frame[1] = 0x80 | length;
  expected[1] = length;
  memcpy(frame + 2, mask, 4);
  for (int index = 0; index < length; index++) {
    expected[2 + index] = 'a' + index % 26;
    frame[6 + index] = expected[2 + index] ^ mask[index % 4];
  }
}

static void give_up(struct connection *connection) {
  failed++;
  in_flight--;
  close(connection->descriptor);
}

static void send_frame(struct connection *connection) {
  in_flight++;
  if (send(connection->descriptor, frame, 6 + length, MSG_NOSIGNAL) != 6 + length) give_up(connection);
}

static void receive(struct connection *connection) {
  ssize_t count = recv(connection->descriptor, connection->input + connection->held, LONGEST - connection->held, 0);
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0) return give_up(connection);
  connection->held += count;
  if (!connection->has_switched) {
    connection->input[connection->held] = 0;
    if (!strstr((char *)connection->input, "\r\n\r\n")) return;
    if (strncmp((char *)connection->input, "HTTP/1.1 101 ", 13) != 0) die("no 101: %s", connection->input);
    connection->has_switched = 1;
    connection->held = 0;
    in_flight--;
    return send_frame(connection);
  }
  if (connection->held < 2 + length) return;
  if (connection->held > 2 + length || memcmp(connection->input, expected, 2 + length) != 0)
    return give_up(connection);
  connection->held = 0;
  good++;
  in_flight--;
  if (end && now() < end) send_frame(connection);
}

static void run(int64_t last) {
  while (in_flight > 0 && now() < last) {
    struct epoll_event events[EVENTS_A_WAIT];
    int ready = epoll_wait(poller, events, EVENTS_A_WAIT, 1000);
    for (int index = 0; index < ready; index++) receive(events[index].data.ptr);
  }
  failed += in_flight;
}

int main(int count, char **words) {
  int connections = 64, address_count = 0;
  double seconds = 3;
  struct address addresses[64];
  for (int index = 1; index < count; index++) {
    char *value = index + 1 < count ? words[index + 1] : "";
    if (strcmp(words[index], "--connections") == 0) connections = atoi(value), index++;
    else if (strcmp(words[index], "--seconds") == 0) seconds = atof(value), index++;
    else if (strcmp(words[index], "--length") == 0) length = atoi(value), index++;
    else if (address_count < 64) addresses[address_count++] = parse_address(words[index]);
  }
  if (!address_count || length < 1 || length > 125) die("usage: websocket [option ...] ADDRESS ...");
  make_frame();
  poller = epoll_create1(EPOLL_CLOEXEC);
  static const char request[] =
      "GET /websocket HTTP/1.1\r\nHost: galaxy.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
  struct connection *all = calloc(connections, sizeof *all);
  for (int index = 0; index < connections; index++) {
    const struct address *address = &addresses[index % address_count];
    all[index].descriptor = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(all[index].descriptor, (struct sockaddr *)&address->storage, address->length) < 0) die("connect");
    if (address->storage.ss_family == AF_INET) set(all[index].descriptor, IPPROTO_TCP, TCP_NODELAY, 1);
    if (send(all[index].descriptor, request, sizeof request - 1, MSG_NOSIGNAL) < 0) die("send");
    fcntl(all[index].descriptor, F_SETFL, O_NONBLOCK);
    watch(poller, EPOLL_CTL_ADD, all[index].descriptor, EPOLLIN, &all[index]);
    in_flight++;
  }
  run(now() + 10000000000LL);
  if (failed) die("%lld connections failed before the measurement", (long long)failed);
  good = 0;
  wait_for_go();
  int64_t started = now();
  end = started + (int64_t)(seconds * 1e9);
  for (int index = 0; index < connections; index++) send_frame(&all[index]);
  run(end + 10000000000LL);
  printf("{\"good\": %lld, \"bad_status\": 0, \"bad_size\": 0, \"failed\": %lld, \"received\": %lld, "
         "\"seconds\": %.6f}\n",
         (long long)good, (long long)failed, (long long)good * length, (now() - started) / 1e9);
  wait_for_end();
  return 0;
}

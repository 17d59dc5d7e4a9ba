/* Requests over HTTP/1.1, and how long their answers took.

   usage: load [option ...] ADDRESS ...

   --connections N   so many, spread over the addresses (64)
   --inflight N      so many requests at a time at most; the connection that waited longest is next (all of them)
   --rate R          open loop: so many requests a second, each due at its moment, whatever became of those before;
                     latency counts from that moment, so that no omission is coordinated (closed loop)
   --seconds S       for so long (3)
   --requests N      so many requests in place of a time
   --each            a connection for each request, ended by the server
   --cold            connects, but sends no request before the measurement
   --path P          (/)
   --host H          (galaxy.example)
   --upload N        a POST of so many bytes in place of a GET
   --expect N        the length that the body of an answer must have (not looked at)
   --any-status      takes every status from 200 to 399 for good (200 alone)

   Prints `ready`, waits for a byte on standard input, prints the result as JSON, and stays, with its connections, until
   standard input ends. Latencies are in microseconds. */

#define _GNU_SOURCE
#include "response.h"
#include <sys/prctl.h>

#define PIECE (1 << 18)

struct connection {
  int descriptor, is_watching_writes, is_busy, has_ended;
  const struct address *address;
  int64_t due, sent; /* `sent` counts the bytes of head and body. */
  struct response response;
  struct connection *next; /* In the line of those that are free. */
};

static struct {
  int connections, inflight, each, cold, any_status;
  double rate, seconds;
  int64_t requests, upload, expect;
  const char *path, *host;
} options = {.connections = 64, .seconds = 3, .requests = INT64_MAX, .expect = -1, .path = "/", .host = "galaxy.example"};

static struct address addresses[64];
static int address_count, poller;
static char request[4096], piece[PIECE], scratch[PIECE];
static size_t request_length;
static struct connection *first_free, *last_free;

static int64_t started, in_flight, issued, good, bad_status, bad_size, failed, received, finished_at;
static uint32_t *latencies; /* Units of 100 ns. */
static size_t latency_count, latency_room;

static void put_in_line(struct connection *connection) {
  connection->next = NULL;
  if (first_free) last_free->next = connection;
  else first_free = connection;
  last_free = connection;
}

static void connect_again(struct connection *connection) {
  if (connection->descriptor >= 0) close(connection->descriptor);
  connection->descriptor = start_connecting(connection->address);
  if (connection->descriptor < 0) die("connect");
  connection->has_ended = connection->is_watching_writes = 0;
  watch(poller, EPOLL_CTL_ADD, connection->descriptor, EPOLLIN | EPOLLRDHUP, connection);
}

static void finish(struct connection *connection, int has_failed) {
  struct response *response = &connection->response;
  int64_t time = now();
  int is_good_status = options.any_status ? response->status / 200 == 1 : response->status == 200;
  if (has_failed || response->state != READ) failed++;
  else if (!is_good_status) bad_status++;
  else if (options.expect >= 0 && response->body != options.expect) bad_size++;
  else good++;
  received += response->body;
  if (latency_count == latency_room) {
    latency_room = latency_room ? latency_room * 2 : 1 << 16;
    latencies = realloc(latencies, latency_room * sizeof *latencies);
  }
  latencies[latency_count++] = (time - connection->due) / 100;
  finished_at = time;
  in_flight--;
  connection->is_busy = 0;
  if (has_failed || connection->has_ended || response->state != READ) {
    if (options.each) {
      close(connection->descriptor);
      connection->descriptor = -1;
    } else {
      connect_again(connection);
    }
  }
  put_in_line(connection);
}

/* Sends the rest of the request; 0 when the socket is full or not connected yet. */
static int send_request(struct connection *connection) {
  int64_t total = request_length + options.upload;
  while (connection->sent < total) {
    ssize_t count;
    if (connection->sent < (int64_t)request_length) {
      count = send(connection->descriptor, request + connection->sent, request_length - connection->sent,
                   MSG_NOSIGNAL | (options.upload ? MSG_MORE : 0));
    } else {
      int64_t left = total - connection->sent;
      count = send(connection->descriptor, piece, left < PIECE ? left : PIECE, MSG_NOSIGNAL);
    }
    if (count < 0) {
      if (errno != EAGAIN && errno != ENOTCONN) return 1; /* What receives next will see it. */
      if (!connection->is_watching_writes)
        watch(poller, EPOLL_CTL_MOD, connection->descriptor, EPOLLIN | EPOLLRDHUP | EPOLLOUT, connection);
      connection->is_watching_writes = 1;
      return 0;
    }
    connection->sent += count;
  }
  if (connection->is_watching_writes)
    watch(poller, EPOLL_CTL_MOD, connection->descriptor, EPOLLIN | EPOLLRDHUP, connection);
  connection->is_watching_writes = 0;
  return 1;
}

/* Sends the next request on the connection that waited longest. */
static void issue(int64_t due) {
  struct connection *connection = first_free;
  first_free = connection->next;
  if (connection->descriptor < 0) connect_again(connection);
  begin_response(&connection->response);
  connection->due = due;
  connection->sent = 0;
  connection->is_busy = 1;
  issued++;
  in_flight++;
  send_request(connection);
}

static void receive(struct connection *connection, uint32_t events) {
  struct response *response = &connection->response;
  for (;;) {
    /* TCP lets go of a body without copying it when MSG_TRUNC asks for that (tcp(7)). */
    int discards = response->state == READING_LENGTH && response->left > PIECE &&
                   connection->address->storage.ss_family == AF_INET;
    ssize_t count = discards ? recv(connection->descriptor, NULL, response->left, MSG_TRUNC)
                             : recv(connection->descriptor, scratch, PIECE, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      connection->has_ended = 1;
      if (!connection->is_busy) return connect_again(connection);
      if (count == 0 && response->state == READING_TO_END) response->state = READ;
      return finish(connection, response->state != READ || count < 0);
    }
    if (!connection->is_busy) {
      failed++;
      return connect_again(connection);
    }
    if (discards) {
      response->left -= count;
      response->body += count;
      if (response->left == 0) response->state = READ;
    } else {
      read_response(response, scratch, count);
    }
    if (response->state == UNREADABLE) return finish(connection, 1);
    if (response->state == READ && !options.each) return finish(connection, 0);
    /* Everything was taken; where the end is known to be next, it is read at once. */
    if (!(events & EPOLLRDHUP) && (discards || count < PIECE)) return;
  }
}

static void handle_events(int64_t until) {
  struct epoll_event events[EVENTS_A_WAIT];
  int64_t left = until - now();
  if (left < 0) left = 0;
  struct timespec time = {left / 1000000000, left % 1000000000};
  int ready = epoll_pwait2(poller, events, EVENTS_A_WAIT, &time, NULL);
  for (int index = 0; index < ready; index++) {
    struct connection *connection = events[index].data.ptr;
    if (events[index].events & EPOLLOUT) send_request(connection);
    if (events[index].events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) receive(connection, events[index].events);
  }
}

/* Runs until so many requests were issued or so much time is over, and all answers are there; those that don't come
   within 20 s more have failed. */
static void run(int64_t requests, double seconds, double rate) {
  issued = in_flight = 0;
  started = now();
  int64_t end = started + (int64_t)(seconds * 1e9), last = end + 20000000000LL;
  if (rate > 0) {
    /* Those that are due are sent, however late. */
    requests = seconds * rate;
    end = last;
  }
  for (;;) {
    int64_t time = now(), wake = last;
    int may_issue = issued < requests && time < end;
    while (may_issue && first_free && in_flight < options.inflight) {
      int64_t due = rate > 0 ? started + (int64_t)(issued * 1e9 / rate) : time;
      if (due > time) {
        wake = due;
        break;
      }
      issue(due);
      may_issue = issued < requests;
    }
    if (!may_issue && in_flight == 0) break;
    if (time > last) {
      failed += in_flight;
      break;
    }
    handle_events(may_issue && end < wake ? end : wake);
  }
}

static int compare(const void *left, const void *right) {
  uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
  return (a > b) - (a < b);
}

static double percentile(double share) {
  if (latency_count == 0) return 0;
  size_t place = latency_count * share;
  return latencies[place < latency_count ? place : latency_count - 1] / 10.0;
}

static void read_options(int count, char **words) {
  for (int index = 1; index < count; index++) {
    char *word = words[index], *value = index + 1 < count ? words[index + 1] : "";
    int has_value = 1;
    if (strcmp(word, "--connections") == 0) options.connections = atoi(value);
    else if (strcmp(word, "--inflight") == 0) options.inflight = atoi(value);
    else if (strcmp(word, "--rate") == 0) options.rate = atof(value);
    else if (strcmp(word, "--seconds") == 0) options.seconds = atof(value);
    else if (strcmp(word, "--requests") == 0) options.requests = atoll(value);
    else if (strcmp(word, "--path") == 0) options.path = value;
    else if (strcmp(word, "--host") == 0) options.host = value;
    else if (strcmp(word, "--upload") == 0) options.upload = atoll(value);
    else if (strcmp(word, "--expect") == 0) options.expect = atoll(value);
    else {
      has_value = 0;
      if (strcmp(word, "--each") == 0) options.each = 1;
      else if (strcmp(word, "--cold") == 0) options.cold = 1;
      else if (strcmp(word, "--any-status") == 0) options.any_status = 1;
      else if (word[0] == '-' || address_count == 64) die("load: found '%s', expected an option or an address", word);
      else addresses[address_count++] = parse_address(word);
    }
    index += has_value;
  }
  if (address_count == 0 || options.connections < 1) die("usage: load [option ...] ADDRESS ...");
  if (options.inflight == 0) options.inflight = options.connections;
}

static void write_request(void) {
  char body[64] = "";
  if (options.upload) snprintf(body, sizeof body, "Content-Length: %lld\r\n", (long long)options.upload);
  request_length = snprintf(
      request, sizeof request,
      "%s %s HTTP/1.1\r\nHost: %s\r\n%s"
      "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
      "Accept: application/json, text/javascript, */*; q=0.01\r\nAccept-Language: en-GB,en;q=0.5\r\n"
      "Accept-Encoding: gzip, deflate, br\r\nX-Requested-With: XMLHttpRequest\r\n"
      "Referer: http://%s/workflows/list\r\nCookie: galaxysession=4d2c2a6f3a55a1c0b1bb8a5c2f0c6c22c14f0a7c5d6e\r\n%s\r\n",
      options.upload ? "POST" : "GET", options.path, options.host, body, options.host,
      options.each ? "Connection: close\r\n" : "");
  if (request_length >= sizeof request) die("load: path and host are too long");
}

int main(int count, char **words) {
  read_options(count, words);
  write_request();
  /* Wake-ups of the open loop are to be exact. */
  prctl(PR_SET_TIMERSLACK, 1);
  poller = epoll_create1(EPOLL_CLOEXEC);
  struct connection *connections = calloc(options.connections, sizeof *connections);
  for (int index = 0; index < options.connections; index++) {
    connections[index].descriptor = -1;
    connections[index].address = &addresses[index % address_count];
    if (!options.each) connect_again(&connections[index]);
    put_in_line(&connections[index]);
  }
  if (!options.cold) {
    run(options.connections, 30, 0);
    if (bad_status + bad_size + failed > 0)
      fprintf(stderr, "load: before the measurement %lld answers had a wrong status, %lld a wrong size, %lld failed\n",
              (long long)bad_status, (long long)bad_size, (long long)failed);
    good = bad_status = bad_size = failed = received = latency_count = 0;
  }
  wait_for_go();
  run(options.requests, options.requests < INT64_MAX ? 600 : options.seconds, options.rate);
  qsort(latencies, latency_count, sizeof *latencies, compare);
  printf("{\"good\": %lld, \"bad_status\": %lld, \"bad_size\": %lld, \"failed\": %lld, \"received\": %lld, "
         "\"seconds\": %.6f, \"p50\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"longest\": %.1f}\n",
         (long long)good, (long long)bad_status, (long long)bad_size, (long long)failed, (long long)received,
         (finished_at - started) / 1e9, percentile(0.5), percentile(0.99), percentile(0.999), percentile(1));
  wait_for_end();
  return 0;
}

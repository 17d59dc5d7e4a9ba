/* Clients that take their answers slowly: each reads a piece of 16 KiB, waits, reads the next one.

   usage: readers [--readers N] [--answers N] [--length N] [--rate BYTES] ADDRESS

   --readers N   (200)
   --answers N   how many each reads to its end (3)
   --length N    of the body of an answer (1 MiB)
   --rate N      bytes a second that each of them takes (512 KiB)

   The receive buffers are small (64 KiB), so that it is the other side that has to wait; and segments are as small as
   those of an Ethernet, because a segment of the loopback device would fill such a buffer. Goes on as `load` does. */

#define _GNU_SOURCE
#include "response.h"

#define PIECE 16384

struct reader {
  int descriptor;
  int64_t next; /* When it reads again. */
  int answers;
  struct response response;
};

static char piece[PIECE], request[512];
static size_t request_length;
static int64_t length = 1 << 20, received;
static int readers = 200, answers = 3, running, good, failed, bad_status, bad_size;

static void ask(struct reader *reader) {
  begin_response(&reader->response);
  if (send(reader->descriptor, request, request_length, MSG_NOSIGNAL) != (ssize_t)request_length) die("send");
}

/* Reads a piece, if there is one. */
static void take(struct reader *reader) {
  struct response *response = &reader->response;
  ssize_t count = recv(reader->descriptor, piece, PIECE, MSG_DONTWAIT);
  if (count < 0 && errno == EAGAIN) return;
  if (count > 0) {
    read_response(response, piece, count);
    received += count;
  }
  if (count > 0 && response->state != READ && response->state != UNREADABLE) return;
  if (response->state != READ) failed++;
  else if (response->status != 200) bad_status++;
  else if (response->body != length) bad_size++;
  else good++;
  if (response->state == READ && --reader->answers > 0) return ask(reader);
  reader->answers = 0;
  running--;
}

int main(int count, char **words) {
  double rate = 512 << 10;
  const char *where = NULL;
  for (int index = 1; index < count; index++) {
    char *value = index + 1 < count ? words[index + 1] : "";
    if (strcmp(words[index], "--readers") == 0) readers = atoi(value), index++;
    else if (strcmp(words[index], "--answers") == 0) answers = atoi(value), index++;
    else if (strcmp(words[index], "--length") == 0) length = atoll(value), index++;
    else if (strcmp(words[index], "--rate") == 0) rate = atof(value), index++;
    else where = words[index];
  }
  if (!where) die("usage: readers [option ...] ADDRESS");
  struct address address = parse_address(where);
  request_length = snprintf(request, sizeof request, "GET /bytes/%lld HTTP/1.1\r\nHost: galaxy.example\r\n\r\n",
                            (long long)length);
  int64_t interval = 1e9 * PIECE / rate;
  struct reader *all = calloc(readers, sizeof *all);
  for (int index = 0; index < readers; index++) {
    all[index].descriptor = socket(address.storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    set(all[index].descriptor, SOL_SOCKET, SO_RCVBUF, 32768);
    if (address.storage.ss_family == AF_INET) set(all[index].descriptor, IPPROTO_TCP, TCP_MAXSEG, 1460);
    if (connect(all[index].descriptor, (struct sockaddr *)&address.storage, address.length) < 0) die("connect");
    all[index].answers = answers;
  }
  wait_for_go();
  running = readers;
  int64_t started = now(), last = started + (int64_t)(answers * length / rate * 1e9) + 60000000000LL;
  for (int index = 0; index < readers; index++) {
    ask(&all[index]);
    all[index].next = started + interval * index / readers;
  }
  while (running > 0 && now() < last) {
    int64_t time = now(), next = last;
    for (int index = 0; index < readers; index++) {
      struct reader *reader = &all[index];
      if (reader->answers == 0) continue;
      if (reader->next <= time) {
        take(reader);
        reader->next = reader->next + interval > time ? reader->next + interval : time;
      }
      if (reader->next < next) next = reader->next;
    }
    int64_t left = next - now();
    if (left > 0) usleep(left / 1000 + 1);
  }
  printf("{\"good\": %d, \"bad_status\": %d, \"bad_size\": %d, \"failed\": %d, \"received\": %lld, "
         "\"seconds\": %.6f}\n",
         good, bad_status, bad_size, failed + running, (long long)received, (now() - started) / 1e9);
  wait_for_end();
  return 0;
}

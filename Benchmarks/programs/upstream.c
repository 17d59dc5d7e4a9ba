/* A fast upstream on unix sockets: one thread, one epoll, no allocation per request.

   usage: upstream unix:PATH ...

     GET /bytes/N    a body of N bytes
     GET /head       the head of the request as it came, as the body
     GET elsewhere   a body of 100 bytes
     POST, PUT       reads the body (Content-Length) and answers with its length in decimal
     Upgrade         a WebSocket that echoes text frames below 126 bytes

   A request with `Connection: close` is the last one. Responses have the fields that a Galaxy under uvicorn sends. */

#define _GNU_SOURCE
#include "sockets.h"
#include <strings.h>
#include <sys/uio.h>

#define LONGEST_HEAD 8192
#define PIECE (1 << 18)

struct connection {
  int descriptor; /* A listener's connection has no buffer. */
  int is_listener, is_websocket, is_blocked, ends_after_answer;
  int held;                   /* Bytes of `input` that are not used yet. */
  int64_t to_receive, length; /* Of the request's body. */
  int head_start, head_end;   /* What of `output` is still to be sent. */
  int64_t body_left;          /* Bytes of the pattern behind it. */
  char input[LONGEST_HEAD + 1];
  char output[LONGEST_HEAD + 1024];
};

static char pattern[PIECE], scratch[PIECE];
static int poller;

static void end(struct connection *connection) {
  close(connection->descriptor);
  free(connection);
}

static const char *field(const char *head, const char *name) {
  size_t length = strlen(name);
  for (const char *line = strchr(head, '\n'); line; line = strchr(line + 1, '\n'))
    if (strncasecmp(line + 1, name, length) == 0 && line[1 + length] == ':') return line + 2 + length;
  return NULL;
}

static void answer(struct connection *connection, int64_t length, const char *body) {
  int written = snprintf(
      connection->output, sizeof connection->output,
      "HTTP/1.1 200 OK\r\ndate: Fri, 20 Nov 2026 12:00:00 GMT\r\nserver: uvicorn\r\ncontent-length: %lld\r\n"
      "content-type: application/json\r\nx-frame-options: SAMEORIGIN\r\n\r\n%s",
      (long long)length, body ? body : "");
  connection->head_start = 0;
  connection->head_end = written;
  connection->body_left = body ? 0 : length;
}

/* Sends what is to be sent: 1 when all is, 0 when the socket is full, -1 when it failed. */
static int send_output(struct connection *connection) {
  while (connection->head_start < connection->head_end || connection->body_left > 0) {
    int64_t piece = connection->body_left < PIECE ? connection->body_left : PIECE;
    struct iovec parts[2] = {
        {connection->output + connection->head_start, connection->head_end - connection->head_start},
        {pattern, piece}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    ssize_t sent = sendmsg(connection->descriptor, &message, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno != EAGAIN) return -1;
      if (!connection->is_blocked)
        watch(poller, EPOLL_CTL_MOD, connection->descriptor, EPOLLIN | EPOLLOUT, connection);
      connection->is_blocked = 1;
      return 0;
    }
    int64_t of_head = connection->head_end - connection->head_start;
    if (sent < of_head) of_head = sent;
    connection->head_start += of_head;
    connection->body_left -= sent - of_head;
  }
  if (connection->is_blocked) watch(poller, EPOLL_CTL_MOD, connection->descriptor, EPOLLIN, connection);
  connection->is_blocked = 0;
  return 1;
}

/* Turns the request whose head has this length into its answer. */
static int begin(struct connection *connection, int length) {
  char *head = connection->input;
  char after = head[length];
  head[length] = 0;
  const char *body_length = field(head, "content-length");
  connection->length = connection->to_receive = body_length ? atoll(body_length) : 0;
  connection->head_start = connection->head_end = 0;
  if (field(head, "transfer-encoding")) return -1;
  const char *option = field(head, "connection");
  connection->ends_after_answer = option && strncasecmp(option, " close", 6) == 0;
  if (field(head, "upgrade")) {
    /* The accept value belongs to the key of RFC 6455, section 1.3, which the load always sends. */
    connection->is_websocket = 1;
    connection->head_start = 0;
    connection->head_end = snprintf(
        connection->output, sizeof connection->output,
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
  } else if (strncmp(head, "GET /bytes/", 11) == 0) {
    answer(connection, atoll(head + 11), NULL);
  } else if (strncmp(head, "GET /head ", 10) == 0) {
    answer(connection, length, head);
  } else if (strncmp(head, "GET ", 4) == 0) {
    answer(connection, 100, NULL);
  } else if (connection->length == 0) {
    answer(connection, 1, "0");
  }
  head[length] = after;
  connection->held -= length;
  memmove(head, head + length, connection->held);
  return 0;
}

/* Echoes every complete frame that is held: masked by the client, unmasked back (RFC 6455, section 5.1). */
static int echo(struct connection *connection) {
  int used = 0;
  connection->head_start = connection->head_end = 0;
  while (connection->held - used >= 6) {
    unsigned char *frame = (unsigned char *)connection->input + used;
    int length = frame[1] & 0x7F;
    if (length > 125 || !(frame[1] & 0x80)) return -1;
    if (connection->held - used < 6 + length) break;
    char *output = connection->output + connection->head_end;
    output[0] = frame[0];
    output[1] = length;
    for (int index = 0; index < length; index++) output[2 + index] = frame[6 + index] ^ frame[2 + index % 4];
    connection->head_end += 2 + length;
    used += 6 + length;
  }
  connection->held -= used;
  memmove(connection->input, connection->input + used, connection->held);
  return 0;
}

/* What is held becomes answers, as far as it goes. */
static int advance(struct connection *connection) {
  for (;;) {
    int sent = send_output(connection);
    if (sent <= 0) return sent;
    if (connection->ends_after_answer && connection->head_end > 0) return -1;
    if (connection->is_websocket) {
      if (echo(connection) < 0) return -1;
      if (connection->head_end == 0) return 0;
      continue;
    }
    if (connection->to_receive > 0) {
      int taken = connection->held < connection->to_receive ? connection->held : connection->to_receive;
      connection->to_receive -= taken;
      connection->held -= taken;
      memmove(connection->input, connection->input + taken, connection->held);
      if (connection->to_receive > 0) return 0;
    }
    if (connection->length > 0) {
      char text[32];
      answer(connection, snprintf(text, sizeof text, "%lld", (long long)connection->length), text);
      connection->length = 0;
      continue;
    }
    connection->input[connection->held] = 0;
    char *blank = strstr(connection->input, "\r\n\r\n");
    if (!blank) return connection->held < LONGEST_HEAD ? 0 : -1;
    if (begin(connection, blank + 4 - connection->input) < 0) return -1;
  }
}

static void serve(struct connection *connection, uint32_t events) {
  if (events & EPOLLOUT) {
    if (advance(connection) < 0) return end(connection);
    if (connection->is_blocked) return;
  }
  if (connection->is_blocked) return;
  ssize_t count;
  if (connection->to_receive > 0) {
    size_t room = connection->to_receive < PIECE ? connection->to_receive : PIECE;
    count = recv(connection->descriptor, scratch, room, 0);
    if (count > 0) connection->to_receive -= count;
    if (count > 0 && connection->to_receive > 0) return;
  } else {
    count = recv(connection->descriptor, connection->input + connection->held, LONGEST_HEAD - connection->held, 0);
    if (count > 0) connection->held += count;
  }
  if (count < 0 && errno == EAGAIN) return;
  if (count <= 0 || advance(connection) < 0) end(connection);
}

static void take(struct connection *listener) {
  for (;;) {
    int descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (descriptor < 0) {
      if (errno != EAGAIN) die("accept");
      return;
    }
    struct connection *connection = malloc(sizeof *connection);
    memset(connection, 0, offsetof(struct connection, input));
    connection->descriptor = descriptor;
    watch(poller, EPOLL_CTL_ADD, descriptor, EPOLLIN, connection);
  }
}

int main(int count, char **words) {
  if (count < 2) die("usage: upstream unix:PATH ...");
  memset(pattern, 'x', sizeof pattern);
  poller = epoll_create1(EPOLL_CLOEXEC);
  for (int index = 1; index < count; index++) {
    struct address address = parse_address(words[index]);
    struct connection *listener = calloc(1, sizeof *listener);
    listener->descriptor = listen_on(&address);
    listener->is_listener = 1;
    watch(poller, EPOLL_CTL_ADD, listener->descriptor, EPOLLIN, listener);
  }
  for (;;) {
    struct epoll_event events[EVENTS_A_WAIT];
    int ready = epoll_wait(poller, events, EVENTS_A_WAIT, -1);
    for (int index = 0; index < ready; index++) {
      struct connection *connection = events[index].data.ptr;
      if (connection->is_listener) take(connection);
      else serve(connection, events[index].events);
    }
  }
}

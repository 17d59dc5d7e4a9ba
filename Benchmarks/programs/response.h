/* Reads responses: enough of HTTP/1.1 to know that an answer is right and where it ends. */

#ifndef RESPONSE_H
#define RESPONSE_H

#include "sockets.h"
#include <strings.h>

#define LONGEST_RESPONSE_HEAD 16384

enum reading { READING_HEAD, READING_LENGTH, READING_CHUNKS, READING_TO_END, READ, UNREADABLE };

struct response {
  enum reading state;
  int status;
  int64_t body; /* Bytes of content so far. */
  int64_t left; /* Of the content, or of the chunk. */
  int in_size_line, digits, line_is_empty, is_last_chunk;
  int held; /* Bytes of a head that is not complete. */
  char *head;
};

static inline void begin_response(struct response *response) {
  char *head = response->head;
  memset(response, 0, sizeof *response);
  response->head = head;
}

/* Judges the head, `text` of `length` bytes with a zero behind it. */
static inline void judge_head(struct response *response, const char *text) {
  response->state = READING_TO_END;
  response->status = strncmp(text, "HTTP/1.", 7) == 0 ? atoi(text + 9) : 0;
  if (response->status == 204 || response->status == 304) response->state = READ;
  for (const char *line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
    if (strncasecmp(line + 1, "content-length:", 15) == 0) {
      response->left = atoll(line + 16);
      response->state = response->left > 0 ? READING_LENGTH : READ;
    } else if (strncasecmp(line + 1, "transfer-encoding: chunked", 26) == 0) {
      response->state = READING_CHUNKS;
      response->in_size_line = 1;
      break;
    }
  }
}

/* RFC 9112, section 7.1: size lines, content, and the fields behind the last chunk up to an empty line. */
static inline size_t read_chunks(struct response *response, const char *bytes, size_t count) {
  size_t used = 0;
  while (used < count && response->state == READING_CHUNKS) {
    if (!response->in_size_line && response->left > 0) {
      size_t taken = (int64_t)(count - used) < response->left ? count - used : (size_t)response->left;
      response->left -= taken;
      response->body += taken;
      used += taken;
      continue;
    }
    char byte = bytes[used++];
    if (response->is_last_chunk) {
      if (byte == '\n' && response->line_is_empty) response->state = READ;
      if (byte != '\r') response->line_is_empty = byte == '\n';
    } else if (byte == '\n' && !response->in_size_line) {
      response->in_size_line = 1;
      response->left = response->digits = 0;
    } else if (byte == '\n') {
      if (response->digits <= 0 && response->digits != -1) response->state = UNREADABLE;
      response->in_size_line = 0;
      response->is_last_chunk = response->line_is_empty = response->left == 0;
    } else if (response->in_size_line && byte != '\r') {
      const char *place = strchr("0123456789abcdef", byte | 0x20);
      if (response->digits >= 0 && place) {
        response->left = response->left * 16 + (place - "0123456789abcdef");
        response->digits++;
      } else {
        /* An extension: the size is complete. */
        if (response->digits == 0) response->state = UNREADABLE;
        response->digits = -1;
      }
    }
  }
  return used;
}

/* Takes bytes as they come. What is behind the end of the answer is an error of the server. */
static inline void read_response(struct response *response, const char *bytes, size_t count) {
  if (response->state == READING_HEAD) {
    if (!response->head) response->head = malloc(LONGEST_RESPONSE_HEAD + 1);
    size_t room = LONGEST_RESPONSE_HEAD - response->held, before = response->held;
    size_t taken = count < room ? count : room;
    memcpy(response->head + before, bytes, taken);
    response->held += taken;
    response->head[response->held] = 0;
    char *blank = strstr(response->head, "\r\n\r\n");
    if (!blank) {
      if (response->held == LONGEST_RESPONSE_HEAD) response->state = UNREADABLE;
      return;
    }
    blank[2] = 0;
    judge_head(response, response->head);
    size_t of_head = blank + 4 - response->head - before;
    bytes += of_head;
    count -= of_head;
  }
  if (response->state == READING_LENGTH) {
    int64_t taken = (int64_t)count < response->left ? (int64_t)count : response->left;
    response->left -= taken;
    response->body += taken;
    count -= taken;
    if (response->left == 0) response->state = READ;
  } else if (response->state == READING_CHUNKS) {
    count -= read_chunks(response, bytes, count);
  } else if (response->state == READING_TO_END) {
    response->body += count;
    count = 0;
  }
  if (response->state == READ && count > 0) response->state = UNREADABLE;
}

#endif

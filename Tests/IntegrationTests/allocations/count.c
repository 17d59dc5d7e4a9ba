/* Counts the allocations of each thread of the program that it is preloaded into (ld.so(8)), in a file that the test
   maps, too: pairs of a thread's id and its count. Every way to get memory that glibc's <stdlib.h> and <malloc.h>
   name goes through it; the allocator behind it is glibc's own. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define THREADS 64

struct counter {
  _Atomic long thread;
  _Atomic long count;
};

static struct counter nowhere[THREADS];
static struct counter *_Atomic counters = nowhere;
static _Atomic int taken;
static __thread int place __attribute__((tls_model("initial-exec"))) = -1;

__attribute__((constructor)) static void map_counters(void) {
  const char *path = getenv("ALLOCATION_COUNTS");
  int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
  if (file < 0) abort();
  void *memory = mmap(NULL, sizeof nowhere, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) abort();
  close(file);
  counters = memory;
}

static void count(void) {
  struct counter *all = counters;
  if (all == nowhere) return;
  if (place < 0) {
    place = taken++;
    if (place >= THREADS) abort();
    all[place].thread = gettid();
  }
  all[place].count++;
}

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

void *malloc(size_t size) {
  count();
  return __libc_malloc(size);
}

void *calloc(size_t number, size_t size) {
  count();
  return __libc_calloc(number, size);
}

void *realloc(void *memory, size_t size) {
  count();
  return __libc_realloc(memory, size);
}

void *memalign(size_t alignment, size_t size) {
  count();
  return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }

int posix_memalign(void **memory, size_t alignment, size_t size) {
  void *found = memalign(alignment, size);
  if (!found) return ENOMEM;
  *memory = found;
  return 0;
}

/* The wall clock, shifted by the whole seconds that stand in a file, for a process that loads this
   before libc (LD_PRELOAD). Clocks that only measure time are left alone. See shims.py. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long long offset(void) {
  static __thread long long known, due;
  struct timespec now;
  syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now);
  long long ms = now.tv_sec * 1000LL + now.tv_nsec / 1000000;
  if (ms >= due) {
    FILE *file = fopen(getenv("CHAOS_OFFSET"), "r");
    double seconds;
    if (file) {
      if (fscanf(file, "%lf", &seconds) == 1) known = (long long)seconds;
      fclose(file);
    }
    due = ms + 200;
  }
  return known;
}

int clock_gettime(clockid_t id, struct timespec *out) {
  int failed = syscall(SYS_clock_gettime, id, out);
  if (!failed && id == CLOCK_REALTIME) out->tv_sec += offset();
  return failed;
}

int gettimeofday(struct timeval *restrict out, void *restrict zone) {
  int failed = syscall(SYS_gettimeofday, out, zone);
  if (!failed) out->tv_sec += offset();
  return failed;
}

time_t time(time_t *out) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (out) *out = now.tv_sec;
  return now.tv_sec;
}

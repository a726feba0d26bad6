// follow: waits on a Redis Stream and says of each entry how late it was.
//   cc -O2 -o follow follow.c
//   ./follow PORT KEY AFTER
// One blocking XREAD after another on a socket of its own. Prints "ready" when the first is on its way, then a line with milliseconds for each
// entry: from the number after "t": in it, in Unix seconds, until the answer was there to read. Ends when Redis does, or after a minute
// without an entry.
#define _GNU_SOURCE
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 1 << 20, PATIENCE_S = 60 };
static char buffer[MOST + 1];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

static int ask(int s, const char *key, const char *after) {
  char command[1024];
  int length = snprintf(command, sizeof command,
                        "*6\r\n$5\r\nXREAD\r\n$5\r\nBLOCK\r\n$1\r\n0\r\n$7\r\nSTREAMS\r\n$%zu\r\n%s\r\n$%zu\r\n%s\r\n", strlen(key), key,
                        strlen(after), after);
  return length >= (int)sizeof command || write(s, command, length) != length;
}

// An answer has been read when as many bulk strings as its heads tell of are there. Returns its end, or NULL where more has to come.
static char *end_of(char *p, char *stop) {
  for (long open = 1; open > 0; open--) {
    char *line = memmem(p, stop - p, "\r\n", 2);
    if (!line) return NULL;
    long number = atol(p + 1);
    if (*p == '*') open += number;
    p = line + 2 + (*p == '$' ? number + 2 : 0);
    if (p > stop) return NULL;
  }
  return p;
}

// Say how old each entry is, and keep the last one's id: the string before its fields' array.
static void tell(char *stop, double t, char *last) {
  for (char *p = buffer; (p = memmem(p, stop - p, "\"t\":", 4)); p += 4) printf("%.4f\n", (t - strtod(p + 4, 0)) * 1e3);
  for (char *p = buffer; (p = memmem(p, stop - p, "*2\r\n$", 5)); p++) {
    char *id = memmem(p, stop - p, "\r\n", 2) + 2;
    id = memmem(id, stop - id, "\r\n", 2) + 2;
    int length = strspn(id, "0123456789-");
    if (length > 14 && length < 40 && id[length] == '\r' && id[length + 2] == '*') snprintf(last, 40, "%.*s", length, id);
  }
  fflush(stdout);
}

int main(int argc, char **argv) {
  if (argc < 4) return fprintf(stderr, "usage: follow PORT KEY AFTER\n"), 2;
  int s = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  char last[40];
  snprintf(last, sizeof last, "%s", argv[3]);
  if (connect(s, (void *)&to, sizeof to) || ask(s, argv[2], last)) return perror("connect"), 1;
  puts("ready");
  fflush(stdout);
  for (long have = 0;;) {
    alarm(PATIENCE_S);
    ssize_t got = read(s, buffer + have, MOST - have);
    double t = now();
    if (got <= 0) return 0;
    have += got;
    if (*buffer == '-') return fprintf(stderr, "%.*s\n", (int)have, buffer), 1;
    char *stop = end_of(buffer, buffer + have);
    if (!stop) continue;
    tell(stop, t, last);
    have = 0;
    if (ask(s, argv[2], last)) return 0;
  }
}

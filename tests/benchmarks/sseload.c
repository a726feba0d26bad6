// sseload: opens many SSE connections to one URL and counts what arrives; it knows nothing of any server.
//   cc -O2 -o sseload sseload.c
//   ./sseload PORT PATH CONNECTIONS EVENTS SECONDS [LAST_EVENT_ID [CHANNELS [AT_ONCE]]]
// AT_ONCE connections (500) at most wait for their first bytes at a time, so that no listener's backlog overflows. When all have them it prints
// {"connected": N, "answered_s": T}. It ends after EVENTS events on each connection, or after three seconds without
// one since the first, or SECONDS after that line, and prints what it counted. Then it holds the connections for LINGER_S or until
// it is killed, so that what their ends cost a server isn't counted with the deliveries.
// An event is counted wherever "t": stands; the number after it, in Unix seconds, gives the latency.
// With CHANNELS, connection 0 asks for the channels c0, c1, ... besides, the next one for as many after them, and so on; an empty
// LAST_EVENT_ID is none.
// Connections come from 127.0.0.2, .3, ... so that more than 28,000 fit.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { SAMPLES = 4000000, CARRY = 60, READY = 1024, QUIET_S = 3, LINGER_S = 10 };
struct carry { int n; char bytes[CARRY]; };  // the end of a read that may hold half an event

static const char *marker = "\"t\":";
static char *path, *cursor = "", *seen, buffer[1 << 20];
static struct carry *carry;
static int poll_, at_once = 500, wanted, opened, answered, closed_, port, channels, *number_of;
static long events, bytes, samples;
static double *latency, first, last;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_REALTIME, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}
static double cpu(void) {
  struct rusage r;
  getrusage(RUSAGE_SELF, &r);
  return r.ru_utime.tv_sec + r.ru_stime.tv_sec + 1e-6 * (r.ru_utime.tv_usec + r.ru_stime.tv_usec);
}
static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int open_one(void) {
  int s = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), one = 1;
  struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET, .sin_port = htons(port)};
  from.sin_addr.s_addr = htonl(0x7f000002 + opened / 20000);
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  setsockopt(s, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);  // else bind() looks through all ports each time
  if (s < 0 || bind(s, (void *)&from, sizeof from) || (connect(s, (void *)&to, sizeof to) && errno != EINPROGRESS))
    return perror("connect"), -1;
  struct epoll_event e = {.events = EPOLLOUT, .data.fd = s};
  number_of[s] = opened++;
  return epoll_ctl(poll_, EPOLL_CTL_ADD, s, &e);
}

static void gone(int fd) {
  closed_++;
  answered += !seen[fd];
  seen[fd] = 1;
  close(fd);
}

static void ask(int fd) {
  static char request[1 << 16];
  struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
  int length = sprintf(request, "GET %s", path);
  for (int i = 0; i < channels && length < (int)sizeof request - 200; i++)
    length += sprintf(request + length, "%cchannel=c%d", i || strchr(path, '?') ? '&' : '?', number_of[fd] * channels + i);
  length += sprintf(request + length, " HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n");
  if (*cursor) length += sprintf(request + length, "Last-Event-ID: %s\r\n", cursor);
  length += sprintf(request + length, "\r\n");
  if (write(fd, request, length) != length) return gone(fd);
  epoll_ctl(poll_, EPOLL_CTL_MOD, fd, &e);
}

static void take(int fd) {
  int kept = carry[fd].n;
  memcpy(buffer, carry[fd].bytes, kept);
  ssize_t got = read(fd, buffer + kept, sizeof buffer - 1 - kept);
  if (got <= 0) {
    if (got == 0 || errno != EAGAIN) gone(fd);
    return;
  }
  bytes += got;
  double t = now();
  answered += !seen[fd];
  seen[fd] = 1;
  char *stop = buffer + kept + got, *p = buffer, *found, *number;
  *stop = 0;
  while ((found = memmem(p, stop - p, marker, 4))) {
    for (number = found + 4; (*number >= '0' && *number <= '9') || *number == '.' || *number == ' '; number++) {}
    if (number == stop && stop - found < CARRY) break;  // cut inside the number: wait for the rest
    if (events++ % 16 == 0 && samples < SAMPLES) latency[samples++] = t - strtod(found + 4, 0);
    if (!first) first = t;
    last = t;
    p = number;
  }
  if (!found) found = stop - p < 4 ? p : stop - 3;
  carry[fd].n = stop - found;
  memcpy(carry[fd].bytes, found, carry[fd].n);
}

static void turn(void) {
  static struct epoll_event ready[READY];
  int n = epoll_wait(poll_, ready, READY, 100);
  for (int i = 0; i < n; i++) (ready[i].events & EPOLLOUT ? ask : take)(ready[i].data.fd);
}

int main(int argc, char **argv) {
  if (argc < 6) return fprintf(stderr, "usage: sseload PORT PATH CONNECTIONS EVENTS SECONDS [LAST_EVENT_ID [CHANNELS [AT_ONCE]]]\n"), 2;
  port = atoi(argv[1]), wanted = atoi(argv[3]);
  long expected = atol(argv[4]) * wanted;
  double seconds = atof(argv[5]), begin, end;
  struct rlimit files = {wanted + 100, wanted + 100};
  setrlimit(RLIMIT_NOFILE, &files);
  path = argv[2];
  if (argc > 6) cursor = argv[6];
  if (argc > 7) channels = atoi(argv[7]);
  if (argc > 8) at_once = atoi(argv[8]);
  if (strlen(path) + strlen(cursor) > 8000) return fprintf(stderr, "too long\n"), 2;
  poll_ = epoll_create1(0);
  number_of = calloc(wanted + 4096, sizeof *number_of), seen = calloc(wanted + 4096, 1), carry = calloc(wanted + 4096, sizeof *carry), latency = malloc(SAMPLES * sizeof *latency);
  begin = now(), end = begin + seconds;
  while (answered < wanted && now() < end) {
    while (opened < wanted && opened - answered < at_once)
      if (open_one()) return 1;
    turn();
  }
  printf("{\"connected\":%d,\"answered_s\":%.4f,\"cpu_s\":%.3f}\n", answered - closed_, now() - begin, cpu());
  fflush(stdout);
  double used = cpu();
  end = now() + seconds;
  while (events < expected && closed_ < wanted && now() < end && !(first && now() - last > QUIET_S)) turn();
  qsort(latency, samples, sizeof *latency, ascending);
#define AT(q) (samples ? latency[(long)((samples - 1) * q)] * 1e3 : 0)
  printf("{\"closed\":%d,\"events\":%ld,\"megabytes\":%.1f,\"span_s\":%.4f,\"cpu_s\":%.3f,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n",
         closed_, events, bytes / 1e6, last - first, cpu() - used, AT(.5), AT(.99), AT(1.0));
  fflush(stdout);
  alarm(LINGER_S);
  pause();
}

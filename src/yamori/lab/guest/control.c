/* The control port: one line in, one line out. attack KIND THREADS SECONDS | stop | status */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_SECONDS = 3600, MOST_THREADS = 64 };

static pid_t running;
static char running_kind[16];

static void stop(void)
{
    if (running > 0) {
        kill(-running, SIGKILL);
        while (waitpid(running, NULL, 0) < 0 && errno == EINTR) {
        }
        running = 0;
    }
}

static void reap(void)
{
    if (running > 0 && waitpid(running, NULL, WNOHANG) == running)
        running = 0;
}

/* The attack is the first victim of this guest's OOM killer. */
static void offer_to_oom(void)
{
    int f = open("/proc/self/oom_score_adj", O_WRONLY);
    if (f >= 0) {
        if (write(f, "1000", 4) != 4)
            perror("oom_score_adj");
        close(f);
    }
}

/* Start the attack again when the guest's OOM killer took it, until its whole time is over. */
static void keep_attacking(struct attack wanted)
{
    uint64_t until = now_ns() + (uint64_t)wanted.seconds * 1000000000u;
    while (now_ns() < until) {
        int status = 0;
        wanted.seconds = (unsigned)((until - now_ns()) / 1000000000u) + 1;
        pid_t worker = fork();
        if (worker == 0) {
            offer_to_oom();
            _exit(run_attack(&wanted));
        }
        if (worker < 0 || waitpid(worker, &status, 0) < 0 || WIFEXITED(status))
            _exit(1);
        usleep(200000);
    }
    _exit(0);
}

static void answer(char *line, char *reply, size_t room)
{
    struct attack wanted;
    reap();
    if (sscanf(line, "attack %15s %u %u", wanted.kind, &wanted.threads, &wanted.seconds) == 3) {
        int known = !strcmp(wanted.kind, "cpu") || !strcmp(wanted.kind, "memory") || !strcmp(wanted.kind, "disk");
        if (!known || wanted.threads < 1 || wanted.threads > MOST_THREADS || wanted.seconds < 1 ||
            wanted.seconds > MOST_SECONDS) {
            snprintf(reply, room, "refused\n");
            return;
        }
        stop();
        pid_t child = fork();
        if (child == 0) {
            setpgid(0, 0);
            keep_attacking(wanted);
        }
        if (child < 0) {
            snprintf(reply, room, "failed\n");
            return;
        }
        setpgid(child, child);
        running = child;
        memcpy(running_kind, wanted.kind, sizeof running_kind);
        snprintf(reply, room, "attacking %s\n", running_kind);
    } else if (strncmp(line, "stop", 4) == 0) {
        stop();
        snprintf(reply, room, "idle\n");
    } else if (strncmp(line, "status", 6) == 0) {
        if (running > 0)
            snprintf(reply, room, "attacking %s\n", running_kind);
        else
            snprintf(reply, room, "idle\n");
    } else {
        snprintf(reply, room, "refused\n");
    }
}

int serve_control(void)
{
    int one = 1, s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(CONTROL_PORT)};
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(s, (struct sockaddr *)&here, sizeof here) != 0 || listen(s, 8) != 0) {
        perror("control");
        return 4;
    }
    signal(SIGPIPE, SIG_IGN);
    for (;;) {
        int c = accept4(s, NULL, NULL, SOCK_CLOEXEC);
        if (c < 0)
            continue;
        struct timeval limit = {.tv_sec = 5};
        setsockopt(c, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        char line[128] = "", reply[64];
        ssize_t got = read(c, line, sizeof line - 1);
        if (got > 0) {
            line[got] = '\0';
            answer(line, reply, sizeof reply);
            if (write(c, reply, strlen(reply)) < 0)
                perror("control");
        }
        close(c);
    }
}

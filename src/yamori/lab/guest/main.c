/* Guest tool of the Yamori lab: `guest-tool serve` keeps the service and the control port alive. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545F4914F6CDD1Dull;
}

/* The guest's own OOM killer shall take an attack, never the service or its control. */
static void spare_from_oom(void)
{
    int f = open("/proc/self/oom_score_adj", O_WRONLY);
    if (f >= 0) {
        if (write(f, "-1000", 5) != 5)
            perror("oom_score_adj");
        close(f);
    }
}

static pid_t start(int control, size_t working_set_mib)
{
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        spare_from_oom();
        _exit(control ? serve_control() : serve_requests(working_set_mib));
    }
    return child;
}

int main(int count, char **words)
{
    if (count != 2 || strcmp(words[1], "serve") != 0) {
        fprintf(stderr, "usage: guest-tool serve\n");
        return 2;
    }
    const char *asked = getenv("LAB_workingset");
    size_t working_set = asked ? strtoul(asked, NULL, 10) : 32;
    pid_t service = start(0, working_set), control = start(1, 0);
    for (;;) {
        int status;
        pid_t ended = wait(&status);
        if (ended < 0)
            return 1;
        sleep(1);
        if (ended == service)
            service = start(0, working_set);
        else if (ended == control)
            control = start(1, 0);
    }
}

/* Three ways to harm the neighbours from inside a guest; each ends by itself when its time is over. */
#define _GNU_SOURCE
#include "guest.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    DISK_REQUEST = 256 << 10,    /* bytes of one direct request */
    MEMORY_RESERVE = 20 << 20,   /* bytes left to the guest's own kernel */
    MEMORY_HOLD_MS = 4000,       /* how long one grab is held before it is renewed */
    MEMORY_SWEEP_PAUSE_MS = 100, /* pause between two sweeps over what is held */
    MEMORY_RENEW_PAUSE_MS = 300, /* in which a balloon may take what was given back */
};

static void *burn(void *unused)
{
    (void)unused;
    volatile uint64_t sum = 0;
    uint64_t stream = now_ns() | 1;
    for (;;)
        sum += next_random(&stream);
    return NULL;
}

/* Flood the disk with direct requests; a quarter are writes, into the upper half only. */
static void *flood_disk(void *unused)
{
    (void)unused;
    void *buffer = NULL;
    int disk = open(DISK, O_RDWR | O_DIRECT);
    off_t end = disk < 0 ? 0 : lseek(disk, 0, SEEK_END);
    uint64_t slots = (uint64_t)end / DISK_REQUEST;
    if (slots < 2 || posix_memalign(&buffer, BLOCK, DISK_REQUEST) != 0)
        return NULL;
    memset(buffer, 0x5a, DISK_REQUEST);
    uint64_t stream = now_ns() ^ (uint64_t)(uintptr_t)buffer;
    stream |= 1;
    for (;;) {
        uint64_t number = next_random(&stream);
        ssize_t done;
        if ((number & 3) == 0)
            done = pwrite(disk, buffer, DISK_REQUEST, (off_t)(slots / 2 + (number >> 8) % (slots / 2)) * DISK_REQUEST);
        else
            done = pread(disk, buffer, DISK_REQUEST, (off_t)((number >> 8) % slots) * DISK_REQUEST);
        if (done != DISK_REQUEST)
            usleep(10000);
    }
    return NULL;
}

static size_t available_memory(void)
{
    char line[128];
    unsigned long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL)
        if (sscanf(line, "MemAvailable: %lu kB", &kib) == 1)
            break;
    fclose(f);
    return (size_t)kib << 10;
}

/* Take all memory there is, keep all of it hot, give it back for a moment, take what there is then. */
static void *grab_memory(void *unused)
{
    (void)unused;
    uint64_t stream = now_ns() | 1;
    for (;;) {
        size_t there = available_memory();
        if (there <= MEMORY_RESERVE + (1 << 20)) {
            usleep(MEMORY_RENEW_PAUSE_MS * 1000);
            continue;
        }
        size_t bytes = (there - MEMORY_RESERVE) & ~(size_t)(PAGE - 1);
        uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory != MAP_FAILED) {
            uint64_t until = now_ns() + (uint64_t)MEMORY_HOLD_MS * 1000000u;
            do {
                for (size_t i = 0; i < bytes; i += PAGE)
                    *(volatile uint64_t *)(memory + i) = next_random(&stream);
                usleep(MEMORY_SWEEP_PAUSE_MS * 1000);
            } while (now_ns() < until);
            munmap(memory, bytes);
        }
        usleep(MEMORY_RENEW_PAUSE_MS * 1000);
    }
    return NULL;
}

int run_attack(const struct attack *wanted)
{
    void *(*part)(void *) = NULL;
    unsigned threads = wanted->threads;
    if (strcmp(wanted->kind, "cpu") == 0) {
        part = burn;
    } else if (strcmp(wanted->kind, "disk") == 0) {
        part = flood_disk;
    } else if (strcmp(wanted->kind, "memory") == 0) {
        part = grab_memory;
        threads = 1;
    } else {
        return 2;
    }
    alarm(wanted->seconds);
    for (unsigned i = 0; i < threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, part, NULL) != 0)
            return 3;
    }
    for (;;)
        pause();
}

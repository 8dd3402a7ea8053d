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
    MEMORY_RESERVE = 16 << 20,   /* bytes left to the guest's own kernel */
    MEMORY_LEAST = MEMORY_RESERVE / 2, /* with less than this a chunk is given back */
    MEMORY_CHUNK = 4 << 20,      /* bytes taken or given back at once */
    MEMORY_MOST_CHUNKS = 512,
    MEMORY_STEP = 1 << 20,       /* bytes touched between two pauses */
    MEMORY_PAUSE_FACTOR = 3,     /* pause as a multiple of the time that the step took */
    MEMORY_LONGEST_PAUSE_US = 40000,
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

/* Touch a chunk; pauses follow the reading, so that memory is what becomes scarce and not CPU. */
static void touch_chunk(uint8_t *chunk, int fill, uint64_t *stream)
{
    for (size_t done = 0; done < MEMORY_CHUNK; done += MEMORY_STEP) {
        uint64_t begun = now_ns();
        for (size_t i = done; i < done + MEMORY_STEP; i += PAGE) {
            volatile uint64_t *word = (volatile uint64_t *)(chunk + i);
            if (fill)
                *word = next_random(stream);
            else
                (void)*word;
        }
        if (!fill) {
            uint64_t pause_us = (now_ns() - begun) / 1000 * MEMORY_PAUSE_FACTOR;
            usleep(pause_us > MEMORY_LONGEST_PAUSE_US ? MEMORY_LONGEST_PAUSE_US : (useconds_t)pause_us);
            if (available_memory() < MEMORY_LEAST)
                return;
        }
    }
}

/*
 * Take all memory there is, chunk by chunk, and keep all of it hot. When the guest itself runs short (a balloon
 * inflates), give chunks back rather than meet the OOM killer.
 */
static void *grab_memory(void *unused)
{
    (void)unused;
    static uint8_t *chunks[MEMORY_MOST_CHUNKS];
    unsigned held = 0, next = 0;
    uint64_t stream = now_ns() | 1;
    for (;;) {
        size_t there = available_memory();
        if (there > MEMORY_RESERVE + MEMORY_CHUNK && held < MEMORY_MOST_CHUNKS) {
            void *chunk = mmap(NULL, MEMORY_CHUNK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (chunk != MAP_FAILED) {
                chunks[held++] = chunk;
                touch_chunk(chunk, 1, &stream);
                continue;
            }
        } else if (there < MEMORY_LEAST && held > 0) {
            munmap(chunks[--held], MEMORY_CHUNK);
            usleep(20000);
            continue;
        }
        if (held == 0) {
            usleep(100000);
            continue;
        }
        next = (next + 1) % held;
        touch_chunk(chunks[next], 0, &stream);
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

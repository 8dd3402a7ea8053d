/* The service whose quality is measured: a request costs fixed CPU work, touched memory and one disk read. */
#define _GNU_SOURCE
#include "guest.h"

#include <arpa/inet.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAGIC 0x594d5331u /* "YMS1" */

enum {
    MOST_ITERATIONS = 200000000,
    MOST_PAGES = 65536,
    MOST_BLOCKS = 64,
    QUEUE_BYTES = 8 << 10, /* some twenty requests; a longer queue would be served when nobody waits any more */
};

struct request {
    uint32_t magic, sequence, iterations, pages, blocks;
} __attribute__((packed));

struct answer {
    uint32_t magic, sequence;
    uint64_t cpu_ns, memory_ns, disk_ns, sum;
    uint32_t disk_errors;
} __attribute__((packed));

static uint64_t work(uint32_t iterations, uint64_t *stream)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < iterations; i++)
        sum += next_random(stream);
    return sum;
}

/* Read one word of each chosen page and change every 64th: a cache that is mostly read. */
static uint64_t touch(uint8_t *memory, size_t pages_there, uint32_t pages, uint64_t *stream)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < pages; i++) {
        volatile uint64_t *word = (volatile uint64_t *)(memory + (next_random(stream) % pages_there) * PAGE);
        sum += *word;
        if ((i & 63) == 0)
            *word = sum;
    }
    return sum;
}

static uint32_t read_blocks(int disk, uint64_t blocks_there, void *buffer, uint32_t blocks, uint64_t *stream)
{
    uint32_t errors = 0;
    for (uint32_t i = 0; i < blocks; i++) {
        off_t where = (off_t)(next_random(stream) % blocks_there) * BLOCK;
        if (disk < 0 || pread(disk, buffer, BLOCK, where) != BLOCK)
            errors++;
    }
    return errors;
}

int serve_requests(size_t working_set_mib)
{
    size_t bytes = working_set_mib << 20, pages_there = bytes / PAGE;
    uint8_t *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    void *buffer = NULL;
    if (pages_there == 0 || memory == MAP_FAILED || posix_memalign(&buffer, BLOCK, BLOCK) != 0)
        return 3;
    uint64_t stream = now_ns() | 1;
    for (size_t i = 0; i < bytes; i += PAGE)
        *(uint64_t *)(memory + i) = next_random(&stream);
    int disk = open(DISK, O_RDONLY | O_DIRECT);
    off_t end = disk < 0 ? 0 : lseek(disk, 0, SEEK_END);
    uint64_t blocks_there = end < (off_t)BLOCK ? 1 : (uint64_t)end / BLOCK;

    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(SERVICE_PORT)};
    int queue = QUEUE_BYTES;
    if (s < 0 || setsockopt(s, SOL_SOCKET, SO_RCVBUF, &queue, sizeof queue) != 0 || bind(s, (struct sockaddr *)&here, sizeof here) != 0) {
        perror("service");
        return 4;
    }
    for (;;) {
        struct request asked;
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;
        ssize_t got = recvfrom(s, &asked, sizeof asked, 0, (struct sockaddr *)&peer, &length);
        if (got != (ssize_t)sizeof asked || ntohl(asked.magic) != MAGIC)
            continue;
        uint32_t iterations = ntohl(asked.iterations), pages = ntohl(asked.pages), blocks = ntohl(asked.blocks);
        if (iterations > MOST_ITERATIONS || pages > MOST_PAGES || blocks > MOST_BLOCKS)
            continue;
        uint64_t t0 = now_ns();
        uint64_t sum = work(iterations, &stream);
        uint64_t t1 = now_ns();
        sum += touch(memory, pages_there, pages, &stream);
        uint64_t t2 = now_ns();
        uint32_t errors = read_blocks(disk, blocks_there, buffer, blocks, &stream);
        uint64_t t3 = now_ns();
        struct answer answer = {
            .magic = asked.magic,
            .sequence = asked.sequence,
            .cpu_ns = htobe64(t1 - t0),
            .memory_ns = htobe64(t2 - t1),
            .disk_ns = htobe64(t3 - t2),
            .sum = sum,
            .disk_errors = htonl(errors),
        };
        if (sendto(s, &answer, sizeof answer, 0, (struct sockaddr *)&peer, length) < 0)
            perror("answer");
    }
}

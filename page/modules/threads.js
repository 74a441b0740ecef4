/** How many threads divide the work. */

const MOST_THREADS = 4;

/**
 * One for each core, but more than one only where the page is isolated from other origins, since threads share memory.
 * On two idle cores two threads took 0.6 of one's time for a tile; beside other work on one of them, 1.4 times as long.
 */
export const usableThreads = () =>
  globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;

/** How many threads divide the work. */

const MOST_THREADS = 4;

/**
 * More than one only where the page is isolated from other origins, since threads share memory. One core is left to
 * everything else: where all are busy, threads that wait for each other are slower than one alone.
 */
export const usableThreads = () =>
  globalThis.crossOriginIsolated ? Math.max(1, Math.min(MOST_THREADS, navigator.hardwareConcurrency - 1)) : 1;

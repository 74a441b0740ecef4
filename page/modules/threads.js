/** How many threads divide the work. */

const MOST_THREADS = 4;

/** More than one only where the page is isolated from other origins, since threads share memory. */
export const usableThreads = () =>
  globalThis.crossOriginIsolated ? Math.min(MOST_THREADS, navigator.hardwareConcurrency || 1) : 1;

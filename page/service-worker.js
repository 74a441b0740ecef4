/**
 * The page's files, kept so that it works without a network, and sent with the headers that static hosts do not send:
 * isolation from other origins, which threads ask for, and the page's policy for workers too.
 */

const HEADERS = {
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Resource-Policy": "same-origin",
};
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self' blob:";
const LISTING = "files.json"; // written when the page is built: all files, and what they are called together

async function keepAll() {
  const { version, files } = await (await fetch(LISTING, { cache: "no-cache" })).json();
  const cache = await caches.open(version);
  // Asked anew, so that files of two versions are never mixed.
  await cache.addAll(["./", ...files].map((file) => new Request(file, { cache: "no-cache" })));
  for (const other of await caches.keys()) if (other !== version) await caches.delete(other);
}

async function answer(request) {
  const found = await caches.match(request, { ignoreSearch: true });
  const response = found ?? (await fetch(request));
  if (response.status === 0 || response.type === "opaqueredirect") return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  headers.set("Content-Security-Policy", POLICY);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}

addEventListener("install", (event) => event.waitUntil(keepAll().then(() => skipWaiting())));
addEventListener("activate", (event) => event.waitUntil(clients.claim()));
addEventListener("fetch", (event) => {
  const { method, url } = event.request;
  if (method === "GET" && url.startsWith(registration.scope)) event.respondWith(answer(event.request));
});

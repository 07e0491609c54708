// Keeps the shell of the phone page at hand, so that it starts, and says that it is offline, without a network.
// The server puts in what belongs to the shell, and its digest: another build is another worker, with a cache of its own.
const CACHE = 'shell %DIGEST%';
const FILES = '%FILES%'.split(' ');

self.addEventListener('install', (event) => event.waitUntil(keepAll().then(() => self.skipWaiting())));
self.addEventListener('activate', (event) => event.waitUntil(forgetOthers().then(() => self.clients.claim())));
self.addEventListener('fetch', (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== 'GET' || origin !== self.location.origin) return;
  // Every other address of the page is its start; what stands in an enrolment link is never written down.
  const isPage = request.mode === 'navigate' && !FILES.includes(pathname);
  event.respondWith(freshOrKept(request, isPage ? '/' : pathname));
});

/** All files of one build, or none: a page never starts with the scripts of another. */
async function keepAll() {
  const cache = await caches.open(CACHE);
  await cache.addAll(FILES);
}

async function forgetOthers() {
  const names = await caches.keys();
  await Promise.all(names.filter((name) => name !== CACHE).map((name) => caches.delete(name)));
}

/** What the server has; what is kept when there is no network, or only something in front of the server answers. */
async function freshOrKept(request, path) {
  const fresh = await fetch(request).catch(() => undefined);
  if (fresh && fresh.status < 500) return fresh;
  const cache = await caches.open(CACHE);
  return (await cache.match(path)) ?? fresh ?? Response.error();
}

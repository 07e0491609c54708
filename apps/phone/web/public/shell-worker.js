// Keeps the shell of the phone page at hand, so that it starts, and says that it is offline, without a network.
const CACHE = 'shell';
/** Where the page is; at any other address a file is opened, which must not take the page's place. */
const PAGES = ['/', '/index.html', '/enroll', '/signed-in'];

self.addEventListener('install', (event) => {
  self.skipWaiting();
  event.waitUntil(caches.open(CACHE).then((cache) => cache.add('/')));
});
self.addEventListener('activate', (event) => event.waitUntil(self.clients.claim()));
self.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  const isPage = request.mode === 'navigate' && PAGES.includes(url.pathname);
  // Every address of the page is the same file; what stands in an enrolment link is never written down.
  event.respondWith(freshOrKept(request, isPage ? '/' : url.pathname));
});

async function freshOrKept(request, key) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    if (response.ok) await cache.put(key, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(key);
    if (kept) return kept;
    throw error;
  }
}

/** What a hash of the shell's address says: a page of a resource, or the start. */
export function readPlace(hash: string): URL | undefined {
  if (!hash.startsWith('#/http')) return undefined;
  const url = URL.parse(hash.slice(2));
  return url && /^https?:$/.test(url.protocol) && url.host !== '' ? url : undefined;
}

/** The hash for a page of a resource. */
export function formatPlace(url: string): string {
  return `#/${url}`;
}

/** The address that somebody means who types `wiki.corp/news`; undefined for what is none. */
export function readAddress(text: string): URL | undefined {
  const trimmed = text.trim();
  const url = URL.parse(/^https?:\/\//i.test(trimmed) ? trimmed : `http://${trimmed}`);
  return url && url.host !== '' && !/\s/.test(trimmed) ? url : undefined;
}

import type { Device } from '@sallyport/device';

/** Bytes as a data URL, so that a page without any network shows its images. */
async function dataUrl(response: Response): Promise<string> {
  const type = response.headers.get('content-type')?.split(';')[0] ?? 'application/octet-stream';
  const bytes = new Uint8Array(await response.arrayBuffer());
  let binary = '';
  for (const byte of bytes) binary += String.fromCharCode(byte);
  return `data:${type};base64,${btoa(binary)}`;
}

/**
 * Loads an intranet page through the gateway and shows it in a frame that can neither run scripts nor reach any network:
 * images and styles are fetched through the gateway and put in, links are followed by us.
 */
export async function showPage(
  device: Device,
  frame: HTMLIFrameElement,
  url: URL,
  follow: (url: URL) => void,
): Promise<void> {
  const response = await device.fetch(url);
  const parsed = new DOMParser().parseFromString(await response.text(), 'text/html');
  await Promise.all([
    ...[...parsed.querySelectorAll('img[src]')].map((image) => putIn(device, image, 'src', url)),
    ...[...parsed.querySelectorAll('link[rel=stylesheet]')].map((link) => putStyle(device, link, url)),
  ]);
  // Links that are no styles look names up and connect ahead, which no policy of the page forbids.
  for (const other of parsed.querySelectorAll('script, link, base, meta[http-equiv]')) other.remove();
  frame.onload = () => {
    frame.contentDocument?.addEventListener('click', (event) => {
      const link = (event.target as Element).closest('a[href]');
      if (!link) return;
      event.preventDefault();
      follow(new URL(link.getAttribute('href') ?? '', url));
    });
  };
  frame.srcdoc = parsed.documentElement.outerHTML;
}

async function putIn(device: Device, target: Element, attribute: string, base: URL): Promise<void> {
  const response = await device.fetch(new URL(target.getAttribute(attribute) ?? '', base));
  target.setAttribute(attribute, await dataUrl(response));
}

async function putStyle(device: Device, link: Element, base: URL): Promise<void> {
  const response = await device.fetch(new URL(link.getAttribute('href') ?? '', base));
  const style = link.ownerDocument.createElement('style');
  style.textContent = await response.text();
  link.replaceWith(style);
}

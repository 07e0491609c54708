import type { Device } from '@sallyport/device';
import type { SocketWord } from '../messages.ts';
import type { CookieJars } from './cookie-jars.ts';
import { resourceAddress, type ShownResource } from './resource-gate.ts';

/** A WebSocket that a page wants. */
export interface WantedSocket {
  readonly url: string;
  readonly protocols: readonly string[];
}

/** Opens a WebSocket of a page through the gateway: to the page's own resource only. */
export async function openPageSocket(
  { device, jars, shown }: { device: Device; jars: CookieJars; shown: ShownResource },
  { url, protocols }: WantedSocket,
  port: MessagePort,
): Promise<void> {
  const say = (word: SocketWord, transfer: Transferable[] = []): void => port.postMessage(word, transfer);
  const parsed = URL.parse(url);
  if (!parsed || !/^wss?:$/.test(parsed.protocol) || parsed.host !== shown.authority)
    return say({ type: 'close', code: 1006, reason: '', failed: true });
  const path = parsed.pathname + parsed.search;
  const cookie = await jars.header(shown.authority, path, 'strict');
  const scheme = shown.scheme === 'https' ? 'wss' : 'ws';
  const fields: (readonly [string, string])[] = [
    ['origin', resourceAddress(shown)],
    ['user-agent', navigator.userAgent],
  ];
  if (cookie !== '') fields.push(['cookie', cookie]);
  const socket = device.webSocket(`${scheme}://${shown.authority}${path}`, { protocols, headers: fields });
  let failed = false;
  socket.onopen = () => say({ type: 'open', protocol: socket.protocol });
  socket.onmessage = ({ data }) => say({ type: 'message', data }, data instanceof ArrayBuffer ? [data] : []);
  socket.onerror = () => {
    failed = true;
  };
  socket.onclose = ({ code, reason }) => say({ type: 'close', code, reason, failed });
  let sending = Promise.resolve();
  port.onmessage = ({ data: word }: MessageEvent<SocketWord>) => {
    // A Blob takes a moment to read; what was sent after it stays behind it.
    sending = sending.then(() => pass(word)).catch(() => undefined);
  };
  port.addEventListener('close', () => socket.relayClose(1001));
  const pass = async (word: SocketWord): Promise<void> => {
    if (word.type === 'message') {
      const data: unknown = word.data;
      if (socket.readyState === 1) socket.send(data instanceof Blob ? await data.arrayBuffer() : word.data);
    } else if (word.type === 'close') socket.relayClose(word.code, word.reason);
  };
}

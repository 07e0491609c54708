import type { WebSocketFactory, WebSocketLike } from '../src/gateway/socket.ts';

/** Proxies whose every WebSocket opens, and answers each message by what its origin says to it. */
export function proxies(answerOf: (origin: string, message: Uint8Array) => Uint8Array): WebSocketFactory {
  return (url) => {
    const { origin } = new URL(url);
    const socket = Object.assign(new EventTarget(), {
      binaryType: '',
      bufferedAmount: 0,
      close: () => undefined,
      send(message: Uint8Array) {
        const data = Uint8Array.from(answerOf(origin, message)).buffer;
        queueMicrotask(() => socket.dispatchEvent(new MessageEvent('message', { data })));
      },
    });
    queueMicrotask(() => socket.dispatchEvent(new Event('open')));
    return socket as unknown as WebSocketLike;
  };
}

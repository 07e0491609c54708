import type { PageWord, SocketWord } from '../messages.ts';

type Tell = (word: PageWord, ports: Transferable[]) => void;

/** Replaces the page's WebSocket by one through the shell: a service worker never sees those. `ownHost` is the page's own address. */
export function installWebSocket(ownHost: string, tell: Tell): void {
  const { CONNECTING, OPEN, CLOSING, CLOSED } = WebSocket;

  class PageWebSocket extends EventTarget {
    readonly url: string;
    readyState: number = CONNECTING;
    protocol = '';
    readonly extensions = '';
    readonly bufferedAmount = 0;
    binaryType: BinaryType = 'blob';
    onopen: ((event: Event) => void) | null = null;
    onmessage: ((event: MessageEvent) => void) | null = null;
    onerror: ((event: Event) => void) | null = null;
    onclose: ((event: CloseEvent) => void) | null = null;
    readonly #port: MessagePort;

    constructor(address: string | URL, protocols: string | readonly string[] = []) {
      super();
      const url = socketUrl(address);
      this.url = url.href;
      const { port1, port2 } = new MessageChannel();
      this.#port = port1;
      port1.onmessage = ({ data }: MessageEvent<SocketWord>) => this.#hear(data);
      tell({ type: 'web-socket', url: url.href, protocols: [protocols].flat().map(String) }, [port2]);
    }

    send(data: string | ArrayBuffer | ArrayBufferView | Blob): void {
      if (this.readyState === CONNECTING) throw new DOMException('still connecting', 'InvalidStateError');
      if (this.readyState !== OPEN) return;
      this.#port.postMessage({ type: 'message', data: typeof data === 'object' ? data : String(data) });
    }

    close(code?: number, reason = ''): void {
      if (code !== undefined && code !== 1000 && !(code >= 3000 && code <= 4999))
        throw new DOMException(`the code must be 1000 or between 3000 and 4999, not ${code}`, 'InvalidAccessError');
      if (new TextEncoder().encode(reason).length > 123)
        throw new DOMException('the reason is longer than 123 bytes', 'SyntaxError');
      if (this.readyState >= CLOSING) return;
      this.readyState = CLOSING;
      this.#port.postMessage({ type: 'close', code, reason } satisfies SocketWord);
    }

    #hear(word: SocketWord): void {
      if (this.readyState === CLOSED) return;
      if (word.type === 'open') {
        this.protocol = word.protocol;
        this.readyState = OPEN;
        this.#emit(new Event('open'), this.onopen);
      } else if (word.type === 'message') {
        const data = typeof word.data === 'string' || this.binaryType !== 'blob' ? word.data : new Blob([word.data]);
        const origin = new URL(this.url).origin;
        this.#emit(new MessageEvent('message', { data, origin }), this.onmessage);
      } else this.#closed(word);
    }

    #closed({ code = 1006, reason, failed = false }: Extract<SocketWord, { type: 'close' }>): void {
      this.readyState = CLOSED;
      this.#port.close();
      if (failed) this.#emit(new Event('error'), this.onerror);
      this.#emit(new CloseEvent('close', { code, reason, wasClean: !failed && code !== 1006 }), this.onclose);
    }

    #emit<E extends Event>(event: E, handler: ((event: E) => void) | null): void {
      handler?.call(this, event);
      this.dispatchEvent(event);
    }
  }

  /** The address by the rules of browsers: http as ws, no fragment; the page's origin here means its own address. */
  function socketUrl(address: string | URL): URL {
    const url = URL.parse(String(address), document.baseURI);
    if (!url) throw new DOMException(`${address} is no address`, 'SyntaxError');
    if (/^https?:$/.test(url.protocol)) url.protocol = url.protocol.replace('http', 'ws');
    if (!/^wss?:$/.test(url.protocol) || url.hash !== '')
      throw new DOMException(`${url.href} is no address of a WebSocket`, 'SyntaxError');
    if (url.host !== location.host) return url;
    return new URL(`${url.protocol}//${ownHost}${url.pathname}${url.search}`);
  }

  for (const [name, value] of Object.entries({ CONNECTING, OPEN, CLOSING, CLOSED })) {
    Object.defineProperty(PageWebSocket, name, { value });
    Object.defineProperty(PageWebSocket.prototype, name, { value });
  }
  Object.defineProperty(PageWebSocket, 'name', { value: 'WebSocket' });
  Object.defineProperty(globalThis, 'WebSocket', { value: PageWebSocket, configurable: true, writable: true });
}

/** Where a Proxy is, and the audience of its site. */
export interface ProxyPlace {
  /** WebSocket origin of the Proxy, `wss://host[:port]`. */
  readonly origin: string;
  /** Name of its site. */
  readonly site: string;
  /** `<realm>/<site>`: for whom a HELLO is. */
  readonly audience: string;
}

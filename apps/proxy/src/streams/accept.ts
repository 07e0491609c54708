import { SIGNED_CODES } from '@sallyport/channel';
import { guardWith } from '@sallyport/telemetry';
import type { Exchange, StreamPlace } from './exchange.ts';
import { HttpExchange } from './http.ts';
import { TcpExchange } from './tcp.ts';
import { WebSocketExchange } from './web-socket.ts';

/** Who handles a stream, by its kind; one of no kind that is known is refused. */
export function acceptStream(place: StreamPlace): Exchange {
  const { host, stream } = place;
  if (stream.kind === 1) return new HttpExchange(place);
  if (stream.kind === 2) return new WebSocketExchange(place);
  if (stream.kind === 3) return new TcpExchange(place);
  const refuse = guardWith((error) => host.handlerFailed(error));
  queueMicrotask(
    refuse(() => {
      stream.reset(SIGNED_CODES.REQUEST_REFUSED);
      stream.settle();
    }),
  );
  return { data: (bytes) => stream.consume(bytes.length), end() {}, reset() {}, drain() {}, recheck() {} };
}

import type { IncomingMessage } from 'node:http';
import { ENDPOINT_PATH, SUBPROTOCOL } from '@sallyport/channel';
import { acceptOf } from '../web-socket/accept.ts';

const KEY = /^[+/0-9A-Za-z]{22}==$/;

/** Why a request for a WebSocket is refused, as status line and further fields. */
export function upgradeRefusal(request: IncomingMessage): string | undefined {
  const { method, url, headers, httpVersion } = request;
  if (url !== ENDPOINT_PATH) return '404 Not Found';
  // RFC 6455, section 4.2.1: HTTP/1.1 or higher, with a Host.
  if (httpVersion !== '1.1' || headers.host === undefined) return '400 Bad Request';
  const asked = method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket';
  if (!asked || !KEY.test(headers['sec-websocket-key'] ?? '')) return '400 Bad Request';
  if (headers['sec-websocket-version'] !== '13') return '426 Upgrade Required\r\nsec-websocket-version: 13';
  const offered = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  return offered.includes(SUBPROTOCOL) ? undefined : '400 Bad Request';
}

/** Answer that opens the WebSocket (RFC 6455, section 4.2.2). No extension is ever taken. */
export function upgradeAnswer(request: IncomingMessage): string {
  const accept = acceptOf(request.headers['sec-websocket-key'] ?? '');
  return [
    'HTTP/1.1 101 Switching Protocols',
    'upgrade: websocket',
    'connection: Upgrade',
    `sec-websocket-accept: ${accept}`,
    `sec-websocket-protocol: ${SUBPROTOCOL}`,
    '\r\n',
  ].join('\r\n');
}

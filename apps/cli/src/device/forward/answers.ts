import { type IncomingMessage, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { refusalPage } from './page.ts';
import type { Answer } from './refusal.ts';

/** Answers a request: a browser that opens a page gets one to read, every other client a line of text. */
export function answer(request: IncomingMessage, response: ServerResponse, told: Answer): void {
  const { type, body } = bodyFor(request, told);
  response.writeHead(told.status, { ...told.fields, ...COMMON_FIELDS, 'content-type': type });
  response.end(body);
}

/** The same on a socket that no response belongs to, and closes it. */
export function refuse(socket: Duplex, { status, fields, text }: Answer): void {
  if (!socket.writable) return void socket.destroy();
  const body = line(text);
  const lines = Object.entries({
    ...fields,
    ...COMMON_FIELDS,
    connection: 'close',
    'content-type': PLAIN,
    'content-length': Buffer.byteLength(body),
  }).map(([name, value]) => `${name}: ${value}\r\n`);
  socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\n${lines.join('')}\r\n${body}`);
}

const PLAIN = 'text/plain; charset=utf-8';
const COMMON_FIELDS = { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' } as const;

function line(text: string): string {
  return `sallyport: ${text}\n`;
}

function bodyFor({ method, headers }: IncomingMessage, told: Answer): { type: string; body: string } {
  const isPage = (method === 'GET' || method === 'POST') && /\btext\/html\b/i.test(headers.accept ?? '');
  if (!isPage) return { type: PLAIN, body: line(told.text) };
  return { type: 'text/html; charset=utf-8', body: refusalPage(told) };
}

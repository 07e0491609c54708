import { type IncomingMessage, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isWsCloseCode, MAX_WS_MESSAGE_BYTES } from '@sallyport/channel';
import type { CallResponse, Device, DeviceWebSocket } from '@sallyport/device';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Answer, answerOf, plainAnswer } from './refusal.ts';
import { answeredFields, forwardedFields, type RequestTarget } from './target.ts';
import { carryDown } from './tunnel.ts';

/** Bytes that wait on one side from which the other one is held back, and below which it goes on. */
const HIGH_WATER_BYTES = 1024 * 1024;
const LOW_WATER_BYTES = 256 * 1024;
const KEY = /^[+/0-9A-Za-z]{22}==$/;

/** The other end of each local handshake that is being answered. */
const remotes = new WeakMap<IncomingMessage, DeviceWebSocket>();
// An offer to compress is left without an answer, which refuses it. The Proxy alone knows how long a message may be.
const sockets = new WebSocketServer({
  noServer: true,
  maxPayload: MAX_WS_MESSAGE_BYTES,
  perMessageDeflate: false,
  autoPong: false,
  handleProtocols: (_offered, request) => remotes.get(request)?.protocol || false,
});
sockets.on('headers', (lines, request) => {
  const fields = remotes.get(request)?.fields.filter(([name]) => !name.startsWith('sec-websocket-')) ?? [];
  const flat = answeredFields(fields);
  for (let i = 0; i < flat.length; i += 2) lines.push(`${flat[i]}: ${flat[i + 1]}`);
});

/** A local WebSocket handshake. */
interface Handshake {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly target: RequestTarget;
}

/**
 * Joins a local WebSocket with one through the gateway, which has all fields of its handshake; the local one is accepted when the
 * backend has accepted, as the backend did. Gives what to answer when there is none, unless the backend's own answer was given.
 */
export async function forwardWebSocket(device: Device, handshake: Handshake): Promise<Answer | undefined> {
  const { request, socket, head, target } = handshake;
  const fault = faultOf(request);
  if (fault) return fault;
  let answered = false;
  const remote = device.webSocket(`${target.scheme === 'https' ? 'wss' : 'ws'}://${target.authority}/`, {
    path: target.path,
    protocols: (request.headers['sec-websocket-protocol'] ?? '')
      .split(',')
      .map((one) => one.trim())
      .filter(Boolean),
    headers: forwardedFields(request).filter(([name]) => !/^sec-websocket-|^content-length$/.test(name)),
    refused: (response) => {
      answered = true;
      giveAnswer(socket as Socket, response);
    },
  });
  const joined = whenLost(socket, () => remote.terminate());
  const opened = await new Promise<boolean>((resolve) => {
    remote.onopen = () => {
      remote.pause();
      resolve(true);
    };
    remote.onclose = () => resolve(false);
  });
  if (answered) return undefined;
  if (!opened) return remote.failure ? answerOf(device, remote.failure) : plainAnswer(502, 'the WebSocket was refused');
  remotes.set(request, remote);
  // The answer's fields are written as texts, each character of which is a byte that came; messages of text are in UTF-8.
  socket.setDefaultEncoding('latin1');
  sockets.handleUpgrade(request, socket, head, (local) => {
    socket.setDefaultEncoding('utf8');
    joined();
    join(local, remote);
  });
  return undefined;
}

/**
 * Notices that a local client is gone while it waits for an answer; what it has sent stays to be read. Gives the function that ends
 * the watch.
 */
function whenLost(socket: Duplex, lost: () => void): () => void {
  const look = (): void => {
    // Reading nothing shows the end, if that is what came.
    if (socket.readableLength === 0) socket.read(0);
  };
  const ended = (): void => void socket.destroy();
  socket.on('readable', look);
  socket.once('end', ended);
  socket.once('close', lost);
  return () => {
    socket.off('readable', look);
    socket.off('end', ended);
    socket.off('close', lost);
  };
}

/** What is wrong with a handshake (RFC 6455, section 4.2.1): the backend is not asked for what cannot be answered. */
function faultOf({ method, headers }: IncomingMessage): Answer | undefined {
  if (method !== 'GET' || !KEY.test(headers['sec-websocket-key'] ?? ''))
    return plainAnswer(400, 'this is no handshake of a WebSocket');
  if (headers['sec-websocket-version'] === '13') return undefined;
  const answer = plainAnswer(426, 'WebSockets have version 13');
  return { ...answer, fields: { ...answer.fields, 'sec-websocket-version': '13' } };
}

/** The answer of a backend that does not want the WebSocket, as it came. */
function giveAnswer(socket: Socket, { status, fields, body }: CallResponse): void {
  const flat = answeredFields(fields.filter(([name]) => name !== 'connection'));
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'Refused'}\r\nconnection: close\r\n`;
  for (let i = 0; i < flat.length; i += 2) text += `${flat[i]}: ${flat[i + 1]}\r\n`;
  socket.write(`${text}\r\n`, 'latin1');
  carryDown(body, socket).catch(() => socket.resetAndDestroy());
}

function join(local: WebSocket, remote: DeviceWebSocket): void {
  local.on('error', () => local.terminate());
  local.on('message', (data, isBinary) => {
    remote.send(isBinary ? (data as Buffer) : String(data));
    if (remote.bufferedAmount >= HIGH_WATER_BYTES) local.pause();
  });
  // Who pings wants to know whether the other end lives, not whether this proxy does.
  local.on('ping', (data) => remote.ping(data));
  local.on('close', (code, reason) => closeRemote(remote, code, String(reason)));
  remote.addEventListener('drain', () => {
    if (local.isPaused) local.resume();
  });
  remote.addEventListener('pong', (event) => local.pong((event as MessageEvent).data as Uint8Array));
  remote.onmessage = ({ data }) => {
    local.send(typeof data === 'string' ? data : Buffer.from(data as ArrayBuffer), () => {
      if (local.bufferedAmount <= LOW_WATER_BYTES) remote.resume();
    });
    if (local.bufferedAmount >= HIGH_WATER_BYTES) remote.pause();
  };
  remote.onclose = (event) => closeLocal(local, event);
  // It may have ended while this side was being opened.
  if (remote.readyState === 3) local.terminate();
  else remote.resume();
}

/** Hands the end on as it came; one without a code, and a lost connection, have none to hand on (RFC 6455, section 7.4.1). */
function closeLocal(local: WebSocket, { code, reason }: CloseEvent): void {
  if (code === 1006) local.terminate();
  else if (isWsCloseCode(code)) local.close(code, reason);
  else local.close();
}

function closeRemote(remote: DeviceWebSocket, code: number, reason: string): void {
  if (code === 1006) remote.terminate();
  else if (isWsCloseCode(code)) remote.relayClose(code, reason);
  else remote.relayClose(undefined);
}

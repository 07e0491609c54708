import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Device, DeviceWebSocket } from '@sallyport/device';
import { type WebSocket, WebSocketServer } from 'ws';
import { type Answer, answerOf, plainAnswer } from './refusal.ts';
import type { Target } from './target.ts';

const WS_MESSAGE_BYTES = 1024 * 1024;
const sockets = new WebSocketServer({ noServer: true, maxPayload: WS_MESSAGE_BYTES, perMessageDeflate: false });

/** A local WebSocket handshake. */
interface Handshake {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  readonly target: Target;
}

/** Joins a local WebSocket with one through the gateway; gives what to answer when there is none. */
export async function forwardWebSocket(device: Device, handshake: Handshake): Promise<Answer | undefined> {
  const { request, socket, head, target } = handshake;
  const protocols = (request.headers['sec-websocket-protocol'] ?? '').split(/\s*,\s*/).filter(Boolean);
  const remote = device.webSocket(
    `${target.scheme === 'https' ? 'wss' : 'ws'}://${target.authority}${target.path}`,
    protocols,
  );
  socket.once('close', () => remote.close());
  const early: unknown[] = [];
  remote.onmessage = ({ data }) => void early.push(data);
  const opened = await new Promise<boolean>((resolve) => {
    remote.onopen = () => resolve(true);
    remote.onclose = () => resolve(false);
  });
  if (!opened) return failureOf(device, remote);
  sockets.handleUpgrade(request, socket, head, (local) => join(local, remote, early));
  return undefined;
}

function failureOf(device: Device, { failure, status }: DeviceWebSocket): Answer {
  if (status !== undefined && status >= 300) return plainAnswer(status, `the server answered ${status}`);
  return failure ? answerOf(device, failure) : plainAnswer(502, 'the WebSocket was refused');
}

function join(local: WebSocket, remote: DeviceWebSocket, early: readonly unknown[]): void {
  const toLocal = (data: unknown): void =>
    local.send(typeof data === 'string' ? data : Buffer.from(data as ArrayBuffer));
  local.on('error', () => local.terminate());
  local.on('message', (data, isBinary) => {
    if (remote.readyState === 1) remote.send(isBinary ? (data as Buffer) : String(data));
  });
  local.on('close', (code, reason) => closeRemote(remote, code, String(reason)));
  for (const data of early) toLocal(data);
  remote.onmessage = ({ data }) => toLocal(data);
  remote.onclose = (event) => closeLocal(local, event);
  // It may have ended while this side was being opened.
  if (remote.readyState === 3) local.terminate();
}

/** Hands the end on as it came; one without a code, and a lost connection, have none to hand on (RFC 6455, section 7.4.1). */
function closeLocal(local: WebSocket, { code, reason }: CloseEvent): void {
  if (code === 1006) return local.terminate();
  if (!isSendable(code)) return local.close();
  local.close(code, Buffer.byteLength(reason) <= 123 ? reason : '');
}

function closeRemote(remote: DeviceWebSocket, code: number, reason: string): void {
  if (isSendable(code)) remote.relayClose(code, reason);
  else remote.close();
}

function isSendable(code: number): boolean {
  return (code >= 1000 && code <= 1014 && ![1004, 1005, 1006].includes(code)) || (code >= 3000 && code <= 4999);
}

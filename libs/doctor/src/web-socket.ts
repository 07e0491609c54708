import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import {
  ASK_NONCE_BYTES,
  decodeHint,
  ENDPOINT_PATH,
  MAC_BYTES,
  MAX_MESSAGE_BYTES,
  MESSAGE_TYPES,
  SID_BYTES,
  SUBPROTOCOL,
  VERSION,
} from '@sallyport/channel';
import { type RawData, WebSocket } from 'ws';
import type { Diagnosis, Leg, WaitLimits } from './diagnosis.ts';
import { beginningOf } from './http.ts';
import { reach } from './reach.ts';
import { reachTls } from './tls.ts';
import { TooLate, within } from './within.ts';

/** Where devices come in. */
export interface DeviceWay {
  /** `wss://gate.example.com` */
  readonly origin: string;
  /** PEM of the CAs that devices trust; absent: those of this system. */
  readonly ca?: string;
}

/** From where it is tried, in words. */
const FROM = 'device';
const BALANCER = 'the balancer between devices and Proxies';

/** Tries the way of a device, from its name to a WebSocket that stays: as a stranger, who is let in nowhere. */
export async function examineDeviceWay(way: DeviceWay, limits: WaitLimits): Promise<Diagnosis[]> {
  const { hostname, port, protocol } = new URL(way.origin);
  const secure = protocol === 'wss:';
  const host = hostname.replace(/^\[|\]$/g, '');
  const leg: Leg = { from: FROM, to: 'balancer', host, port: Number(port || (secure ? 443 : 80)) };
  const ca = way.ca === undefined ? {} : { ca: way.ca };
  const { diagnoses, socket } = secure ? await reachTls(leg, ca, limits) : await reach(leg, limits);
  socket?.destroy();
  if (!socket) return [...diagnoses];
  const opened = await openWebSocket(way, limits);
  if ('trouble' in opened) return [...diagnoses, opened.trouble];
  const { socket: first } = opened;
  const answers = await examineAnswers(way, first, limits);
  if (answers.state !== 'ok') return [...diagnoses, opened.said, answers];
  // Side by side: one is watched while the other is tried with a large message.
  const [size, hold] = await Promise.all([examineSize(way, limits), examineHold(way, limits)]);
  return [...diagnoses, opened.said, answers, size, hold];
}

type Opened = { readonly socket: WebSocket; readonly said: Diagnosis } | { readonly trouble: Diagnosis };

async function openWebSocket(way: DeviceWay, limits: WaitLimits): Promise<Opened> {
  const socket = newSocket(way, limits);
  const opened = new Promise<Opened>((done) => {
    socket.once('open', () => done({ socket, said: told(way, 'upgrade', 'a WebSocket opens') }));
    socket.once('unexpected-response', (_request, answer) => {
      const refuse = (text: string): void => done({ trouble: notOpened(way, answer, text) });
      beginningOf(answer).then(refuse, () => refuse(''));
    });
    socket.once('error', (error) => done({ trouble: failed(way, 'upgrade', `no WebSocket opens (${error.message})`) }));
  });
  return within(limits.answerMs * 2, opened).catch(() => {
    socket.terminate();
    const words = 'a WebSocket was asked for, and nothing answers';
    return {
      trouble: failed(way, 'upgrade', words, {
        next: 'does the balancer know a Proxy that is ready? See its own status',
      }),
    };
  });
}

function newSocket({ origin, ca }: DeviceWay, { answerMs }: WaitLimits): WebSocket {
  const socket = new WebSocket(`${origin}${ENDPOINT_PATH}`, SUBPROTOCOL, {
    ...(ca === undefined ? {} : { ca }),
    perMessageDeflate: false,
    handshakeTimeout: answerMs,
    maxPayload: MAX_MESSAGE_BYTES,
  });
  socket.on('error', () => undefined);
  return socket;
}

function told({ origin }: DeviceWay, check: string, words: string): Diagnosis {
  return { subject: `${FROM} → ${origin}`, check, state: 'ok', words };
}

function failed(
  { origin }: DeviceWay,
  check: string,
  words: string,
  { hop = BALANCER, next = 'see the recipe for a balancer: deploy/production/haproxy.cfg' } = {},
): Diagnosis {
  return { subject: `${FROM} → ${origin}`, check, state: 'failure', words, hop, next };
}

/** A Proxy says 404 with this code to whoever asks its endpoint without an Upgrade, and 400 to one that is not whole. */
const OF_A_PROXY = 'ERR_HTTP_NOT_FOUND';

function notOpened(way: DeviceWay, { statusCode = 0 }: IncomingMessage, text: string): Diagnosis {
  if (text.includes(OF_A_PROXY) || statusCode === 400 || statusCode === 426)
    return failed(way, 'upgrade', `the request reaches a Proxy without its Upgrade (${statusCode})`, {
      next: 'let the balancer pass Upgrade, Connection and Sec-WebSocket-* on by HTTP/1.1 (nginx: proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade")',
    });
  if ([502, 503, 504].includes(statusCode))
    return failed(way, 'upgrade', `the balancer has no Proxy that it could give a device to (${statusCode})`, {
      hop: 'between the balancer and the Proxies, or the Proxies',
      next: 'on the host of the balancer: curl http://PROXY:8441/readyz; then sallyport doctor --from proxy on a Proxy',
    });
  return failed(way, 'upgrade', `something else answers there (${statusCode})`, {
    next: `does ${new URL(way.origin).host} lead to the Proxies, with every path?`,
  });
}

/** A ping must come back at once: who gathers bytes before passing them on holds it. */
async function examineAnswers(way: DeviceWay, socket: WebSocket, { answerMs }: WaitLimits): Promise<Diagnosis> {
  const mark = randomBytes(4);
  const began = performance.now();
  const answered = new Promise<void>((done, lost) => {
    socket.on('pong', (data) => data.equals(mark) && done());
    socket.once('close', () => lost(new Error('closed')));
  });
  try {
    socket.ping(mark);
    await within(answerMs, answered);
    return told(way, 'buffering', `a few bytes come back after ${Math.round(performance.now() - began)} ms`);
  } catch (error) {
    const held = error instanceof TooLate;
    const words = held
      ? `a few bytes are held for more than ${answerMs} ms`
      : 'a WebSocket is closed as soon as it is open';
    const next = held
      ? 'switch buffering off for this path (nginx: proxy_buffering off; proxy_request_buffering off)'
      : 'see the log of the balancer: it takes the WebSocket and does not pass it on';
    return failed(way, 'buffering', words, { next });
  } finally {
    socket.terminate();
  }
}

/** The largest message is passed on whole: a Proxy then says that it knows no such type. */
async function examineSize(way: DeviceWay, limits: WaitLimits): Promise<Diagnosis> {
  const opened = await openWebSocket(way, limits);
  if ('trouble' in opened) return opened.trouble;
  const { socket } = opened;
  const ended = new Promise<number>((done) => {
    socket.once('message', () => done(0));
    socket.once('close', (code) => done(code));
  });
  try {
    socket.send(Buffer.alloc(MAX_MESSAGE_BYTES));
    const code = await within(limits.answerMs, ended);
    const passed = code === 0 || code === POLICY || code === PROTOCOL_ERROR;
    if (passed) return told(way, 'size', `messages of ${MAX_MESSAGE_BYTES} bytes go through`);
    return failed(way, 'size', `a message of ${MAX_MESSAGE_BYTES} bytes ends the WebSocket (${code})`, TOO_SMALL);
  } catch {
    return failed(way, 'size', `a message of ${MAX_MESSAGE_BYTES} bytes does not arrive`, TOO_SMALL);
  } finally {
    socket.terminate();
  }
}

const TOO_SMALL = { next: `let the balancer pass messages of ${MAX_MESSAGE_BYTES} bytes, and see the MTU on the way` };
/** RFC 6455, section 7.4.1: what a Proxy closes with. */
const PROTOCOL_ERROR = 1002;
const POLICY = 1008;

/**
 * A WebSocket that says something now and then must stay. What is said is a question of a device about a session that nobody has: the
 * Proxy passes it on and answers, so that it keeps the socket for a while, too.
 */
async function examineHold(way: DeviceWay, limits: WaitLimits): Promise<Diagnosis> {
  const opened = await openWebSocket(way, limits);
  if ('trouble' in opened) return opened.trouble;
  const { socket } = opened;
  const began = performance.now();
  let unanswered = false;
  const askOnce = (): void => socket.send(strangeQuestion());
  socket.on('message', (data: RawData) => {
    unanswered ||= saysUnavailable(data as Buffer);
  });
  const closed = new Promise<number>((done) => {
    socket.once('close', (code) => done(code));
  });
  askOnce();
  const asking = setInterval(askOnce, limits.askEveryMs);
  try {
    const code = await within(limits.holdMs, closed);
    const seconds = Number(((performance.now() - began) / 1_000).toPrecision(2));
    // A Proxy that cannot ask Security says so, three times, and then closes.
    if (unanswered || code === POLICY) return unanswering(way, seconds);
    return failed(way, 'hold', `the WebSocket is cut after ${seconds} s, while it was in use`, {
      next: 'raise the time after which the balancer ends a WebSocket to an hour or more, whether it is quiet or not (HAProxy: timeout tunnel; nginx: proxy_read_timeout and proxy_send_timeout; clouds: the timeout of the backend)',
    });
  } catch {
    return told(way, 'hold', `a WebSocket stays for ${Math.round(limits.holdMs / 1_000)} s`);
  } finally {
    clearInterval(asking);
    socket.terminate();
  }
}

function unanswering(way: DeviceWay, seconds: number): Diagnosis {
  const words = `the Proxy ends the WebSocket after ${seconds} s, because Security does not answer it`;
  return {
    ...failed(way, 'hold', words, {
      hop: 'between the Proxy and Security',
      next: 'sallyport doctor --from proxy on a Proxy',
    }),
    state: 'warning',
  };
}

function saysUnavailable(message: Buffer): boolean {
  if (message[0] !== MESSAGE_TYPES.HINT) return false;
  return ['UNAVAILABLE', 'BUSY'].includes(decodeHint(message).code);
}

/** ASK about a session that is drawn at random (SPEC.md, section 12): no key of ours fits it, and the answer says nothing. */
function strangeQuestion(): Buffer {
  return Buffer.concat([Buffer.of(MESSAGE_TYPES.ASK, VERSION), randomBytes(SID_BYTES + ASK_NONCE_BYTES + MAC_BYTES)]);
}

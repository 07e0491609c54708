import type { Socket } from 'node:net';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { askReady } from './http.ts';
import { reach } from './reach.ts';
import { reachTls, type TlsMeans } from './tls.ts';
import { within } from './within.ts';

/** Somebody who listens. */
export interface ServiceWay {
  readonly leg: Leg;
  /** Absent: no TLS is spoken there, or only after a word of the protocol. */
  readonly tls?: TlsMeans;
  /** One of ours: it says whether it is ready, and what time it is. */
  readonly isOurs?: boolean;
  /** What it says of itself at once, like `SSH-2.0`; absent: it waits to be asked. */
  readonly greeting?: string;
}

/** Tries one who listens: name, port, certificate, and of ours whether it is ready and how its clock is. */
export async function examineService(
  { leg, tls, isOurs, greeting }: ServiceWay,
  limits: WaitLimits,
): Promise<Diagnosis[]> {
  const { diagnoses, socket } = tls ? await reachTls(leg, tls, limits) : await reach(leg, limits);
  if (!socket) return [...diagnoses];
  if (isOurs) return [...diagnoses, ...(await askReady(socket, leg, limits))];
  const greeted = greeting === undefined ? [] : [await hear(socket, { leg, greeting }, limits)];
  socket.destroy();
  return [...diagnoses, ...greeted];
}

interface Greeting {
  readonly leg: Leg;
  readonly greeting: string;
}

async function hear(socket: Socket, { leg, greeting }: Greeting, limits: WaitLimits): Promise<Diagnosis> {
  const subject = nameOfLeg(leg);
  const said = new Promise<string>((done, failed) => {
    socket.once('data', (bytes) => done(bytes.toString('latin1')));
    socket.once('error', failed);
    socket.once('close', () => failed(new Error('closed')));
  });
  const text = await within(limits.answerMs, said).catch(() => '');
  if (text.startsWith(greeting)) return { subject, check: 'session', state: 'ok', words: `speaks ${greeting}` };
  const words = text === '' ? 'it takes the connection and says nothing' : `something else than ${greeting} is there`;
  return {
    subject,
    check: 'session',
    state: 'failure',
    words,
    hop: leg.to,
    next: 'is this the right port? See its log',
  };
}

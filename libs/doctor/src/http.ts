import { type IncomingMessage, request } from 'node:http';
import type { Socket } from 'node:net';
import { judgeClock } from './clock.ts';
import { type Diagnosis, type Leg, nameOfLeg, type WaitLimits } from './diagnosis.ts';
import { TooLate, within } from './within.ts';

/** An answer, as far as it matters here. */
interface HttpAnswered {
  readonly status: number;
  /** The beginning of what it says. */
  readonly text: string;
  /** What the other clock said, epoch ms, and how long the answer took. */
  readonly date: number | undefined;
  readonly tookMs: number;
}

const MAX_CHARACTERS = 65_536;

/** A question by HTTP. */
export interface HttpQuestion {
  readonly leg: Leg;
  readonly path: string;
}

/** Asks on an open connection, which ends with it. @throws TooLate, or Error of the connection */
export async function askHttp(socket: Socket, { leg, path }: HttpQuestion, limits: WaitLimits): Promise<HttpAnswered> {
  const began = performance.now();
  const answered = new Promise<HttpAnswered>((done, failed) => {
    const sent = request({ path, headers: { host: leg.host }, createConnection: () => socket }, (answer) => {
      const date = Date.parse(answer.headers.date ?? '');
      const head = {
        status: answer.statusCode ?? 0,
        date: Number.isNaN(date) ? undefined : date,
        tookMs: performance.now() - began,
      };
      beginningOf(answer).then((text) => done({ ...head, text }), failed);
    });
    sent.on('error', failed);
    sent.end();
  });
  try {
    return await within(limits.answerMs, answered);
  } finally {
    socket.destroy();
  }
}

/** The beginning of a body: what is longer is not waited for. */
export async function beginningOf(answer: IncomingMessage): Promise<string> {
  let text = '';
  answer.setEncoding('utf8');
  for await (const part of answer) {
    text += part;
    if (text.length >= MAX_CHARACTERS) break;
  }
  return text.slice(0, MAX_CHARACTERS);
}

/** Whether a server of ours says that it is ready, and what its clock is. */
export async function askReady(socket: Socket, leg: Leg, limits: WaitLimits): Promise<Diagnosis[]> {
  const subject = nameOfLeg(leg);
  try {
    const { status, date, tookMs } = await askHttp(socket, { leg, path: '/readyz' }, limits);
    const clock = date === undefined ? [] : [judgeClock(subject, date - Date.now(), { stepMs: 1_000, tookMs })];
    return [readiness(subject, leg.to, status), ...clock];
  } catch (error) {
    const words =
      error instanceof TooLate ? 'does not answer a request' : `breaks a request off (${(error as Error).message})`;
    return [{ subject, check: 'ready', state: 'failure', words, hop: leg.to, next: `see the log of ${leg.to}` }];
  }
}

function readiness(subject: string, to: string, status: number): Diagnosis {
  if (status === 200) return { subject, check: 'ready', state: 'ok', words: 'is ready' };
  // Draining says 404, and no lease or no database 503.
  const words = status === 404 ? 'is about to end' : `is not ready (${status})`;
  return {
    subject,
    check: 'ready',
    state: 'warning',
    words,
    hop: to,
    next: `see the log of ${to}, and sallyport status`,
  };
}

import { setTimeout as sleep } from 'node:timers/promises';
import { type Device, DeviceError } from '@sallyport/device';

/** What honest devices may be told while others attack: come again. Everything else is a failure. */
const LATER: ReadonlySet<string> = new Set([
  'CALM_DOWN',
  'BACKEND_UNREACHABLE',
  'STREAM_LIMIT',
  'NOT_PROCESSED',
  'BUSY',
]);
const PAUSE_MS = 50;
const ANSWER_MS = 60_000;

/** What one honest device saw. */
export interface Seen {
  right: number;
  later: number;
  /** The longest time that a right answer took, ms. */
  slowestMs: number;
  readonly wrong: string[];
}

/** A device that asks and compares until it is told to stop: every answer names who asked, and what. */
export async function askUntil(stopped: AbortSignal, user: string, device: Device): Promise<Seen> {
  const seen: Seen = { right: 0, later: 0, slowestMs: 0, wrong: [] };
  for (let i = 0; !stopped.aborted || seen.right === 0; i++) {
    if (seen.wrong.length > 10) break;
    const startedAt = performance.now();
    try {
      await (i % 10 === 9 ? talk(user, device, i) : ask(user, device, i));
      seen.right += 1;
      seen.slowestMs = Math.max(seen.slowestMs, performance.now() - startedAt);
    } catch (error) {
      if (error instanceof DeviceError && LATER.has(error.code)) seen.later += 1;
      else seen.wrong.push(`${user}: ${error instanceof DeviceError ? error.code : ''} ${(error as Error).message}`);
    }
    await sleep(PAUSE_MS);
  }
  return seen;
}

async function ask(user: string, device: Device, i: number): Promise<void> {
  const body = `${user} ${i} ${'x'.repeat((i * 997) % 5_000)}`;
  const answer = await device.fetch('http://honest.corp/echo', { method: 'POST', body });
  const text = await answer.text();
  if (answer.headers.get('x-name') !== user) throw new Error(`was presented as ${answer.headers.get('x-name')}`);
  if (text !== body) throw new Error(`got the answer ${text.slice(0, 80)} to ${body.slice(0, 80)}`);
}

function talk(user: string, device: Device, i: number): Promise<void> {
  const socket = device.webSocket('ws://honest.corp/');
  return new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the WebSocket does not answer')), ANSWER_MS);
    socket.onopen = () => socket.send(`${user} ${i}`);
    socket.onmessage = ({ data }) => {
      clearTimeout(timer);
      socket.close();
      if (data === `${user} ${user} ${i}`) resolve();
      else reject(new Error(`the WebSocket got ${String(data)}`));
    };
    socket.onclose = ({ reason }) => {
      clearTimeout(timer);
      const code = [...LATER].find((later) => reason.startsWith(later));
      reject(
        code === undefined ? new Error(`the WebSocket was closed: ${reason}`) : new DeviceError(code as 'BUSY', reason),
      );
    };
  });
}

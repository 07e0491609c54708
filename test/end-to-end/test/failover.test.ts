import * as api from '@sallyport/security-api/admin';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { Gateway } from '../src/gateway.ts';

/** With a short lease it is soon over; with a long one a slow machine does not lose it while a server starts. */
const SHORT_LEASE_MS = 5_000;
const LONG_LEASE_MS = 60_000;

const backend = await startBackend();
const gateway = await Gateway.start({
  proxies: 2,
  environment: { SALLYPORT_LEASE_MS: String(SHORT_LEASE_MS) },
});
await gateway.addResource('wiki', 'wiki.corp', backend.url);
await gateway.addUser('ada');
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

async function sessionCount(): Promise<number> {
  return (await gateway.operator.call(api.sessions.list)).length;
}

/** The Proxy says that it may serve again a moment after it may. */
function untilConnected(device: Awaited<ReturnType<typeof gateway.device>>): Promise<void> {
  return new Promise((resolve) => {
    if (device.state === 'connected') return resolve();
    device.on('state', ({ state }) => state === 'connected' && resolve());
  });
}

interface Outcome {
  readonly id: string;
  readonly method: string;
  readonly status?: number;
  readonly code?: string;
  readonly mayHaveRun?: boolean;
}

/** A pause before a request is sent again that an overloaded Proxy has refused, ms. */
const CALM_MS = 50;

/**
 * Sends requests until told to stop; half of them must not run twice. A Proxy that has too little processor time may say so
 * and refuse what it has not read (CALM_DOWN): that is sent again, under the same id, so that one that ran after all shows.
 */
async function load(devices: Awaited<ReturnType<typeof gateway.device>>[], stop: () => boolean): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let next = 0;
  const outcomeOf = async (device: (typeof devices)[number], id: string, method: string): Promise<Outcome> => {
    const init = { method, headers: { 'x-id': id }, ...(method === 'POST' ? { body: id } : {}) };
    for (;;) {
      try {
        const response = await device.fetch('http://wiki.corp/slow/5', init);
        await response.text();
        return { id, method, status: response.status };
      } catch (error) {
        const { code, mayHaveRun } = error as { code: string; mayHaveRun: boolean };
        if (code !== 'CALM_DOWN' || mayHaveRun) return { id, method, code, mayHaveRun };
        await new Promise((resolve) => setTimeout(resolve, CALM_MS));
      }
    }
  };
  const worker = async (device: (typeof devices)[number]): Promise<void> => {
    while (!stop()) {
      const number = next++;
      outcomes.push(await outcomeOf(device, `request-${number}`, number % 2 === 0 ? 'GET' : 'POST'));
    }
  };
  await Promise.all(devices.flatMap((device) => [worker(device), worker(device), worker(device)]));
  return outcomes;
}

test('Security gone: channels stop when the lease ends, never later, and go on without a login', async () => {
  const device = await gateway.device('ada');
  const download = await device.fetch('http://wiki.corp/big/400000000000');
  const cut = (async () => {
    for await (const _part of download.body!);
  })().catch((error) => ({ code: error.code, at: performance.now() }));
  await gateway.security.end('SIGKILL');
  const start = performance.now();
  let last = 0;
  while (performance.now() - start < 7_000) {
    const sent = performance.now() - start;
    const answer = device.fetch('http://wiki.corp/echo', { signal: AbortSignal.timeout(3_000) });
    if (
      await answer.then(
        () => true,
        () => false,
      )
    )
      last = Math.max(last, sent);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { code, at } = (await cut) as { code: string; at: number };
  expect(code).toBe('LEASE_LOST');
  // Its last bytes and the word of the Proxy may come late on a busy machine.
  expect(at - start).toBeLessThan(SHORT_LEASE_MS + 15_000);
  // The lease runs from the last answered beat, which lay before the kill.
  expect(last).toBeGreaterThan(1_000);
  expect(last).toBeLessThan(SHORT_LEASE_MS);
  expect(device.state).not.toBe('connected');
  await gateway.restartSecurity('SIGTERM', { SALLYPORT_LEASE_MS: String(LONG_LEASE_MS) });
  await gateway.live(2);
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  await untilConnected(device);
  device.close();
});

test('a Proxy killed under load: what may run twice succeeds, the rest says whether it ran, nobody logs in again', async () => {
  const devices = await Promise.all(Array.from({ length: 8 }, () => gateway.device('ada')));
  const before = await sessionCount();
  let over = false;
  const running = load(devices, () => over);
  for (const index of [0, 1, 0]) {
    await new Promise((resolve) => setTimeout(resolve, 700));
    await gateway.proxies[index]!.end('SIGKILL');
    await new Promise((resolve) => setTimeout(resolve, 700));
    await gateway.restartProxy(index);
    await gateway.live(2);
  }
  over = true;
  const outcomes = await running;
  const idempotent = outcomes.filter(({ method }) => method === 'GET');
  expect(idempotent.length).toBeGreaterThan(24);
  expect(idempotent.filter(({ status }) => status !== 200)).toEqual([]);
  for (const { id, method, status, code, mayHaveRun } of outcomes.filter((outcome) => outcome.method === 'POST')) {
    const ran = backend.seen.get(id) ?? 0;
    expect(ran, `${method} ${id} ${status ?? code}`).toBeLessThanOrEqual(1);
    if (status === undefined) expect(typeof mayHaveRun === 'boolean' && code !== undefined).toBe(true);
    if (status === 200) expect(ran).toBe(1);
    if (mayHaveRun === false) expect(ran).toBe(0);
  }
  expect(await sessionCount()).toBe(before);
  for (const device of devices) device.close();
});

test('Security restarted: open channels go on, all sessions are still there, new channels open again', async () => {
  const devices = await Promise.all(Array.from({ length: 5 }, () => gateway.device('ada')));
  const before = await sessionCount();
  const states: string[] = [];
  for (const device of devices) device.on('state', ({ state }) => states.push(state));
  let over = false;
  const running = load(devices, () => over);
  await gateway.restartSecurity('SIGKILL');
  await gateway.live(2);
  over = true;
  const outcomes = await running;
  expect(outcomes.filter(({ status }) => status !== 200)).toEqual([]);
  expect(states).toEqual([]);
  expect(await sessionCount()).toBe(before);
  for (const device of devices) {
    device.close();
    await device.resume();
    expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
    device.close();
  }
});

test('a Proxy that is told to end lets its requests finish and sends its devices elsewhere', async () => {
  const devices = await Promise.all(Array.from({ length: 6 }, () => gateway.device('ada')));
  let over = false;
  const running = load(devices, () => over);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await gateway.proxies[0]!.end('SIGTERM');
  await gateway.restartProxy(0);
  await gateway.live(2);
  await gateway.proxies[1]!.end('SIGTERM');
  over = true;
  const outcomes = await running;
  expect(outcomes.filter(({ status }) => status !== 200)).toEqual([]);
  await gateway.restartProxy(1);
  for (const device of devices) device.close();
});

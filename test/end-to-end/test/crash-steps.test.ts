import { nodeCrypto } from '@sallyport/channel/node';
import type { DeviceRecord, DeviceStorage, WebSocketFactory, WebSocketLike } from '@sallyport/device';
import { Device } from '@sallyport/device';
import { nodeWebSocket } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';

const backend = await startBackend();
const gateway = await Gateway.start({ settings: { rotateAfterMs: 0 } });
await gateway.addResource('wiki', 'wiki.corp', backend.url);
afterAll(async () => {
  await gateway.stop();
  await backend.close();
});

class Crash extends Error {}

/** Counts the steps of a device and crashes at one of them: before or after a write, before or after a message. */
class CrashPlan {
  readonly steps: string[] = [];
  readonly #at: number;
  crashed = false;

  constructor(at: number) {
    this.#at = at;
  }

  step(label: string): void {
    if (this.crashed) throw new Crash('the device is dead');
    this.steps.push(label);
    if (this.steps.length !== this.#at) return;
    this.crashed = true;
    throw new Crash(label);
  }
}

function crashingStorage(kept: { record?: DeviceRecord }, plan: CrashPlan): DeviceStorage {
  return {
    holdsKeyObjects: true,
    load: async () => kept.record,
    async store(record) {
      plan.step('before a write');
      kept.record = structuredClone(record);
      plan.step('after a write');
    },
    async clear() {
      delete kept.record;
    },
  };
}

/** A socket that loses a message on its way out, or an answer on its way in, and then is dead. */
function crashingSocket(plan: CrashPlan): WebSocketFactory {
  return (url, protocol) => {
    const socket = nodeWebSocket(url, protocol);
    const attempt = (label: string): boolean => {
      try {
        plan.step(label);
        return true;
      } catch {
        (socket as unknown as { terminate(): void }).terminate();
        return false;
      }
    };
    return {
      get binaryType() {
        return socket.binaryType;
      },
      set binaryType(value) {
        socket.binaryType = value;
      },
      get bufferedAmount() {
        return socket.bufferedAmount;
      },
      send(bytes: Uint8Array) {
        if (attempt(`message ${bytes[0]} is lost`)) socket.send(bytes);
      },
      close: () => socket.close(),
      addEventListener(type: 'message', listener: (event: { data: unknown }) => void) {
        if (type !== 'message') return socket.addEventListener(type, listener as () => void);
        socket.addEventListener('message', (event) => {
          if (attempt(`the answer ${new Uint8Array(event.data as ArrayBuffer)[0]} is lost`)) listener(event);
        });
      },
    } as WebSocketLike;
  };
}

function openOn(kept: { record?: DeviceRecord }, plan: CrashPlan): Promise<Device> {
  return Device.open({
    storage: crashingStorage(kept, plan),
    crypto: nodeCrypto(),
    webSocket: crashingSocket(plan),
    context: () => CONTEXT,
  });
}

const NEVER = 1_000_000;

/** Runs work that may crash; the plan says whether it did. Waits do not matter: a dead device does nothing. */
async function untilCrash(plan: CrashPlan, device: Device, work: () => Promise<void>): Promise<void> {
  try {
    await Promise.race([
      work(),
      new Promise((_, reject) => {
        const timer = setInterval(() => {
          if (!plan.crashed) return;
          clearInterval(timer);
          setTimeout(() => reject(new Crash('dead')), 300);
        }, 10);
        timer.unref();
      }),
    ]);
  } catch (error) {
    if (!plan.crashed) throw error;
  } finally {
    device.close();
  }
}

test('a crash at any step of enrolment or key rotation never costs the device its way in', async () => {
  const seen: string[] = [];
  for (let at = 1; ; at++) {
    const user = `crash-${at}`;
    await gateway.addUser(user);
    const link = await gateway.link(user);
    const credentials = { user, password: PASSWORD };
    const kept: { record?: DeviceRecord } = {};
    const plan = new CrashPlan(at);
    const device = await openOn(kept, plan);
    await untilCrash(plan, device, async () => {
      await device.enroll(link, credentials);
      for (let login = 0; login < 3; login++) await device.login(credentials);
    });
    // The phone starts again: the same link if it was not enrolled yet, no new one, no new code.
    const again = await openOn(kept, new CrashPlan(NEVER));
    if (again.state === 'new') await again.enroll(link, credentials);
    for (let login = 0; login < 3; login++) await again.login(credentials);
    expect(await (await again.fetch('http://wiki.corp/echo', { method: 'POST', body: user })).text()).toBe(user);
    again.close();
    if (!plan.crashed) break;
    seen.push(plan.steps.at(-1)!);
  }
  const all = await gateway.operator.call(api.installations.list);
  const ours = all.filter(({ user }) => user.startsWith('crash-'));
  expect(ours).toHaveLength(seen.length + 1);
  expect(ours.every(({ status, generation }) => status === 'active' && generation >= 1)).toBe(true);
  console.log(`crashed at each of ${seen.length} steps: ${[...new Set(seen)].join(', ')}`);
  expect(seen.length).toBeGreaterThan(20);
  for (const step of [
    'before a write',
    'after a write',
    'message 3 is lost',
    'the answer 4 is lost',
    'message 16 is lost',
    'the answer 17 is lost',
  ]) {
    expect(seen).toContain(step);
  }
}, 300_000);

test('Security killed at any moment of a login never costs the device its way in', async () => {
  const device = await gateway.device('ada-killed').catch(async () => {
    await gateway.addUser('ada-killed');
    return gateway.device('ada-killed');
  });
  const credentials = { user: 'ada-killed', password: PASSWORD };
  for (let round = 0; round < 5; round++) {
    const login = device.login(credentials).catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, round * 12));
    await gateway.restartSecurity('SIGKILL');
    await gateway.live(1);
    await login;
    await device.login(credentials);
    expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  }
  device.close();
}, 300_000);

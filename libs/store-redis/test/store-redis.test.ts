import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { memoryLockout, memoryThrottle } from '@sallyport/access';
import { afterAll, expect, onTestFinished, test, vi } from 'vitest';
import { busContract } from '../../access/test/bus.contract.ts';
import { lockoutContract } from '../../access/test/lockout.contract.ts';
import { presenceContract } from '../../access/test/presence.contract.ts';
import { throttleContract } from '../../access/test/throttle.contract.ts';
import { parseRedisUrl, RedisBus, RedisLink, redisLockout, redisPresence, redisThrottle } from '../src/index.ts';
import { RealRedis } from './real-redis.ts';

const single = await RealRedis.start();
const cluster = await RealRedis.start({ cluster: true });
await cluster.ownAllSlots();
const links: RedisLink[] = [];
afterAll(async () => {
  for (const link of links) await link.close();
  await Promise.all([single.stop(), cluster.stop()]);
});

let realms = 0;
const freshRealm = (): string => `realm-${process.pid}-${realms++}`;
const never = memoryThrottle({ burst: 1_000_000, perMinute: 1, now: () => 0 });

/** A pause of a busy machine is no outage, but to a link that is as hasty as those of servers. */
const PATIENT_MS = 90_000;

async function linkTo(url: string, commandMs?: number): Promise<RedisLink> {
  const link = new RedisLink(parseRedisUrl(url), {}, commandMs);
  links.push(link);
  await expect.poll(() => link.usable).toBe(true);
  return link;
}

async function busOn(url: string, realm: string, commandMs?: number): Promise<RedisBus> {
  const bus = new RedisBus(await linkTo(url, commandMs), realm);
  await expect.poll(() => bus.connected).toBe(true);
  return bus;
}

for (const [name, redis, scheme] of [
  ['Redis', single, 'redis'],
  ['Redis Cluster', cluster, 'redis+cluster'],
] as const) {
  const url = `${scheme}://127.0.0.1:${redis.port}`;
  throttleContract(async () => {
    const options = { realm: freshRealm(), scope: 'test', burst: 3, perMinute: 600, backup: never };
    return redisThrottle(await linkTo(url, PATIENT_MS), options);
  }, `throttle in ${name}`);
  lockoutContract(async () => {
    const backup = memoryLockout({ now: () => 0 });
    return redisLockout(await linkTo(url, PATIENT_MS), { realm: freshRealm(), backup });
  }, `lock-out in ${name}`);
  busContract(async () => {
    const realm = freshRealm();
    return [await busOn(url, realm, PATIENT_MS), await busOn(url, realm, PATIENT_MS)];
  }, `bus in ${name}`);
  presenceContract(async () => redisPresence(await linkTo(url, PATIENT_MS), freshRealm()), `presence in ${name}`);
}

test('realms and scopes count apart, and no key names a user or an address', async () => {
  const url = `redis://127.0.0.1:${single.port}`;
  const link = await linkTo(url, PATIENT_MS);
  const options = { burst: 1, perMinute: 1, backup: never };
  const [realm, other] = [freshRealm(), freshRealm()];
  const throttle = redisThrottle(link, { ...options, realm, scope: 'a' });
  expect(await throttle.take('user ada 10.1.2.3')).toBe(0);
  expect(await throttle.take('user ada 10.1.2.3')).toBeGreaterThan(0);
  expect(await redisThrottle(link, { ...options, realm, scope: 'b' }).take('user ada 10.1.2.3')).toBe(0);
  expect(await redisThrottle(link, { ...options, realm: other, scope: 'a' }).take('user ada 10.1.2.3')).toBe(0);
  expect(await single.command('KEYS', '*')).not.toMatch(/ada|10\.1\.2\.3/);
});

test('a connection that is given up again and again gathers no listeners', async () => {
  const { commands } = await linkTo(`redis://127.0.0.1:${single.port}`);
  const { stream } = commands as unknown as { stream: Socket };
  for (let i = 0; i < 20; i++) commands.disconnect();
  expect(stream.listenerCount('close')).toBeLessThan(10);
});

test('a frozen, dead or emptied Redis costs a moment: throttles count on this node, the bus says so and recovers', async () => {
  const redis = await RealRedis.start();
  const url = `redis://127.0.0.1:${redis.port}`;
  const realm = freshRealm();
  const backup = memoryThrottle({ burst: 1, perMinute: 1, now: () => performance.now() });
  const throttle = redisThrottle(await linkTo(url), { realm, scope: 'x', burst: 1, perMinute: 1, backup });
  const bus = await busOn(url, realm);
  let woken = 0;
  bus.subscribe('entries', () => {
    woken += 1;
  });
  expect(await throttle.take('k')).toBe(0);
  redis.freeze();
  // From now on the backup counts.
  expect(await throttle.take('l')).toBe(0);
  expect(await throttle.take('l')).toBeGreaterThan(0);
  await expect.poll(() => bus.connected).toBe(false);
  const before = woken;
  bus.publish('entries');
  expect(woken).toBe(before + 1);
  redis.thaw();
  await expect.poll(() => bus.connected).toBe(true);
  expect(woken).toBeGreaterThan(before + 1);
  await redis.kill();
  await expect.poll(() => bus.connected).toBe(false);
  await redis.restart();
  await expect.poll(() => bus.connected).toBe(true);
  await redis.stop();
});

test('a server that comes back too busy to take subscriptions ends nobody', async () => {
  const relay = await relayTo(single.port);
  const { subscriber } = await linkTo(`redis://127.0.0.1:${relay.port}`);
  await subscriber.subscribe('words');
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  process.on('unhandledRejection', note);
  relay.swallow(/subscribe/i);
  const ready = once(subscriber, 'ready');
  relay.drop();
  await ready;
  // Its own subscription was sent before this one, and is given up before it. A busy machine may have lost the connection once more.
  const subscribe = (): Promise<string> => subscriber.subscribe('more').then(String, ({ message }: Error) => message);
  await expect.poll(subscribe).toBe('Command timed out');
  await new Promise((resolve) => setImmediate(resolve));
  process.off('unhandledRejection', note);
  expect(uncaught).toEqual([]);
  relay.close();
});

test('Sentinels that go away print nothing, and one that comes back is followed again', async () => {
  const sentinels = [await RealRedis.startSentinel(single.port), await RealRedis.startSentinel(single.port)];
  onTestFinished(async () => void (await Promise.all(sentinels.map((sentinel) => sentinel.stop()))));
  const printed = vi.spyOn(console, 'error').mockImplementation(() => undefined);
  onTestFinished(() => printed.mockRestore());
  const { commands } = await linkTo(
    `redis+sentinel://${sentinels.map(({ port }) => `127.0.0.1:${port}`).join(',')}/main`,
  );
  await expect.poll(() => sentinels[1]!.command('CLIENT', 'LIST')).toContain('cmd=subscribe');
  let reconnecting = 0;
  commands.on('sentinelReconnecting', () => {
    reconnecting += 1;
  });
  await sentinels[1]!.kill();
  await expect.poll(() => reconnecting).toBeGreaterThan(3);
  await sentinels[1]!.restart();
  await expect.poll(() => sentinels[1]!.command('CLIENT', 'LIST')).toContain('cmd=subscribe');
  expect(printed.mock.calls).toEqual([]);
});

/** A way to a server on which some of what is sent gets lost. */
async function relayTo(port: number) {
  let lost = /^$/;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, '127.0.0.1');
    near.on('data', (data) => lost.test(String(data)) || far.write(data));
    far.on('data', (data) => near.write(data));
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(one);
      one.on('close', () => other.destroy()).on('error', () => undefined);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
    sockets.clear();
  };
  return {
    port: (server.address() as AddressInfo).port,
    drop,
    swallow: (what: RegExp) => {
      lost = what;
    },
    close: () => {
      drop();
      server.close();
    },
  };
}

test.each([
  ['rediss://10.0.0.1:6379', { mode: 'single', tls: true }],
  ['rediss+sentinel://a:1,b:2/main', { mode: 'sentinel', tls: true, name: 'main' }],
  ['redis://[::1]:6379', { mode: 'single', tls: false }],
])('reads %s', (url, expected) => {
  expect(parseRedisUrl(url)).toMatchObject(expected);
});

test.each([
  ['redis://10.0.0.1:6379', 'needs TLS'],
  ['rediss+sentinel://a:1', 'expected'],
  ['rediss://a', 'expected'],
  ['http://a:1', 'expected'],
])('refuses %s', (url, message) => {
  expect(() => parseRedisUrl(url)).toThrow(message);
});

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatHex } from '@sallyport/channel';
import { type DeviceRecord, memoryStorage } from '@sallyport/device';
import * as api from '@sallyport/security-api/admin';
import { signalTo } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { Gateway } from '../src/gateway.ts';

const ROUNDS = 20;
/** Far longer than a round takes, on however slow a machine, ms. */
const LIMIT_MS = 90_000;
const gateway = await Gateway.start();
await gateway.addUser('ada');
afterAll(() => gateway.stop());

/** Kills Security and every process of its database in one breath. */
async function killEverything(): Promise<void> {
  const pidFile = join(gateway.folder, 'security-data', 'database', 'cluster', 'postmaster.pid');
  const postmaster = readFileSync(pidFile, 'utf8').split('\n')[0]!;
  const children = execFileSync('ps', ['--no-headers', '-o', 'pid', '--ppid', postmaster], { encoding: 'utf8' }).split(
    '\n',
  );
  gateway.security.kill('SIGKILL');
  for (const pid of [postmaster, ...children.map((line) => line.trim()).filter(Boolean)])
    signalTo(Number(pid), 'SIGKILL');
}

interface Acknowledged {
  readonly users: string[];
  readonly sessions: string[];
  readonly revoked: string[];
}

/** Writes of several kinds until the server is gone; remembers what was acknowledged. */
async function writeUntilDead(round: number, done: Acknowledged, dead: () => boolean): Promise<void> {
  const users = async (): Promise<void> => {
    for (let i = 0; !dead(); i++) {
      const name = `user-${round}-${i}`;
      await gateway.operator.call(api.users.put, { params: { name }, body: {} }).then(
        () => done.users.push(name),
        () => undefined,
      );
    }
  };
  const logins = async (): Promise<void> => {
    for (let i = 0; !dead(); i++) {
      const storage = memoryStorage();
      const device = await gateway.device('ada', storage).catch(() => undefined);
      if (!device) continue;
      device.close();
      const sid = formatHex(((await storage.load()) as DeviceRecord).session!.sid);
      done.sessions.push(sid);
      if (i % 2 === 1) continue;
      const body = { kind: 'session' as const, subject: sid, reason: 'durability' };
      await gateway.operator.call(api.revocations.put, { params: { id: sid }, body }).then(
        () => done.revoked.push(sid),
        () => undefined,
      );
    }
  };
  await Promise.race([
    Promise.all([users(), logins(), logins(), logins()]),
    new Promise((resolve) => setTimeout(resolve, LIMIT_MS)),
  ]);
}

test(`everything killed ${ROUNDS} times in the middle of writes: nothing that was acknowledged is lost`, async () => {
  const done: Acknowledged = { users: [], sessions: [], revoked: [] };
  for (let round = 0; round < ROUNDS; round++) {
    let dead = false;
    const enough = { users: done.users.length + 2, sessions: done.sessions.length + 1 };
    const writing = writeUntilDead(round, done, () => dead);
    // Killed at some moment after writes of both kinds were acknowledged, however long those take.
    await expect.poll(() => done.users.length, { timeout: LIMIT_MS }).toBeGreaterThanOrEqual(enough.users);
    await expect.poll(() => done.sessions.length, { timeout: LIMIT_MS }).toBeGreaterThanOrEqual(enough.sessions);
    await new Promise((resolve) => setTimeout(resolve, (round * 37) % 300));
    await killEverything();
    dead = true;
    await gateway.restartSecurity('SIGKILL');
    await writing;
    await gateway.live(1);
  }
  const users = new Set((await gateway.operator.call(api.users.list)).map(({ name }) => name));
  const sessions = await gateway.operator.call(api.sessions.list, { query: { all: 'true' } });
  const byId = new Map(sessions.map((session) => [session.id, session]));
  console.log(
    `acknowledged: ${done.users.length} users, ${done.sessions.length} sessions, ${done.revoked.length} revocations`,
  );
  expect(done.users.length).toBeGreaterThan(ROUNDS);
  expect(done.sessions.length).toBeGreaterThan(ROUNDS / 2);
  expect(done.users.filter((name) => !users.has(name))).toEqual([]);
  expect(done.sessions.filter((sid) => !byId.has(sid))).toEqual([]);
  expect(done.revoked.filter((sid) => byId.get(sid)!.endedAt === null)).toEqual([]);
  const status = (await gateway.operator.call(api.status.get)) as { audit: { intact: boolean } };
  expect(status.audit.intact).toBe(true);
}, 900_000);

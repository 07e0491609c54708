import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  formatIdentity,
  formatRecipient,
  listExports,
  makeIdentity,
  openTarget,
  parseTargetPlace,
} from '@sallyport/backup';
import type { BackupView } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { freePort, isAlive, sallyport, scratchFolder, signalTo, startSallyport } from '@sallyport/support';
import { request } from 'undici';
import { afterAll, expect, test } from 'vitest';
import { HeldRequest, startS3 } from '../../../libs/backup/test/s3-server.ts';
import { startSshd } from '../../../libs/backup/test/sshd.ts';
import { Gateway } from '../src/gateway.ts';

const folder = scratchFolder();
const near = join(folder, 'near');
mkdirSync(near);
const { place, running } = await startSshd(folder);
const keyFile = join(folder, 'user');
const far = `sftp://${place.user}@127.0.0.1:${place.port}${place.folder}?key=${keyFile}&hostkey=${place.hostKeys[0]}`;
const identity = await makeIdentity('officer');
writeFileSync(join(folder, 'recipient'), formatRecipient(identity.recipient));
writeFileSync(join(folder, 'identity'), formatIdentity(identity), { mode: 0o600 });
const held = new HeldRequest();
const s3 = await startS3(folder, held.hold);
const keys = { accessKeyId: s3.place.accessKeyId, secretAccessKey: s3.place.secretAccessKey };
writeFileSync(join(folder, 's3.json'), JSON.stringify(keys), { mode: 0o600 });
const bucket = `s3://exports/deep?endpoint=${s3.place.endpoint.origin}&region=us-east-1&credentials=${join(folder, 's3.json')}`;
const TARGETS = [`file:${near}`, far, `file:${join(folder, 'away')}`, bucket];
const [NEAR, FAR, AWAY, BUCKET] = TARGETS.map((text) => parseTargetPlace(text).description) as [
  string,
  string,
  string,
  string,
];
const EVERY_MS = 2_000;

const gateway = await Gateway.start({
  proxies: 1,
  environment: {
    SALLYPORT_METRICS_LISTEN: `127.0.0.1:${await freePort()}`,
    SALLYPORT_BACKUP_TARGETS: TARGETS.join(','),
    SALLYPORT_BACKUP_RECIPIENTS: join(folder, 'recipient'),
    SALLYPORT_BACKUP_EVERY_MS: String(EVERY_MS),
  },
});
afterAll(async () => {
  await gateway.stop();
  await running.end();
  await s3.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Status {
  readonly degraded: readonly string[];
  readonly backup: BackupView;
}

const status = async (): Promise<Status> => (await gateway.operator.call(api.status.get)) as unknown as Status;

async function targetView(described: string): Promise<BackupView['targets'][number]> {
  return (await status()).backup.targets.find((target) => target.place === described)!;
}

/** Names of whole exports at a target, the oldest first. */
async function namesAt(text: string): Promise<readonly string[]> {
  const target = await openTarget(parseTargetPlace(text));
  try {
    return (await listExports(target, 'main')).filter(({ whole }) => whole).map(({ name }) => name);
  } finally {
    await target.close();
  }
}

/** Waits for an export that is newer than those of now, and gives its name. */
async function nextAt(text: string): Promise<string> {
  const before = await namesAt(text);
  await expect.poll(async () => (await namesAt(text)).length, { interval: 200 }).toBeGreaterThan(before.length);
  return (await namesAt(text)).at(-1)!;
}

async function nextEverywhere(): Promise<void> {
  await Promise.all([nextAt(TARGETS[0]!), nextAt(far), nextAt(bucket)]);
}

/** Processes that make backups now, of our node. */
function workers(): number[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return pids.map(Number).filter((pid) => {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      const state = readFileSync(`/proc/${pid}/stat`, 'utf8');
      return (
        line.includes('backup-worker.ts') && Number(state.slice(state.lastIndexOf(')') + 2).split(' ')[1]) === node
      );
    } catch {
      return false;
    }
  });
}
let node = gateway.security.pid;

/** As an operator on the Security host. */
const backup = (...order: readonly string[]) => sallyport(['backup', ...order], '', gateway.securityEnvironment);

test('before a target is marked nothing is written to it, and its want of a mark is named', async () => {
  await expect.poll(async () => (await targetView(NEAR)).trouble?.words).toContain('has no mark');
  expect(readdirSync(near)).toEqual([]);
  const { stdout, code } = await backup('target', 'init');
  expect(stdout).toContain(`${NEAR} is marked`);
  expect(stdout).toContain(`${FAR} is marked`);
  // One of them is not there.
  expect([stdout.includes(`${AWAY} fails`), code]).toEqual([true, 1]);
});

test('backups are made at each target, whatever becomes of another', async () => {
  await nextEverywhere();
  await expect.poll(async () => (await targetView(AWAY)).trouble?.code).toBe('ERR_TARGET_GONE');
  const { degraded } = await status();
  expect(degraded[0]).toContain('no backup was ever verified');
  expect(degraded.join('\n')).toContain(`backup to ${AWAY} fails`);
  expect(degraded.join('\n')).toContain('are on the disk of the database');
});

test('a backup counts once somebody has restored it elsewhere, and its age is told', async () => {
  // A host that has the identity and neither kek.json nor the settings of the servers.
  const home = join(folder, 'verifying');
  const order = ['--data', home, 'backup', 'verify', '--watch', '--pause', '1', '--identity', join(folder, 'identity')];
  const watching = await startSallyport([...order, '--target', TARGETS[0]!], /is verified/);
  await expect.poll(async () => (await status()).backup.verified?.place).toBe(NEAR);
  // It finishes the verification that it is at, however long that takes here.
  watching.child.kill('SIGTERM');
  await expect.poll(() => watching.child.exitCode).toBe(0);
  // Status reads the database, metrics tell what the node saw when it last looked at the targets.
  const metrics = async () => (await request(`${gateway.security.ready['metricsUrl']}/metrics`)).body.text();
  await expect.poll(metrics).toMatch(/^sallyport_backup_verified_age_seconds \d/m);
  expect(await metrics()).toMatch(/^sallyport_backup_failing_targets [1-9]$/m);
  // Nobody verifies any more: soon it is too old, named first, and on record.
  await expect.poll(async () => (await status()).degraded[0]).toContain('the newest verified backup is');
  const actions = async () =>
    ((await gateway.operator.call(api.audit.list)) as unknown as { action: string }[]).map(({ action }) => action);
  await expect.poll(actions).toContain('backup.overdue');
  expect(await actions()).toContain('backup.verified');
});

test('what is due and what was seen is shown', async () => {
  const { code, stdout } = await backup('prune', '--dry-run');
  expect(stdout).toContain(`${NEAR} keeps`);
  expect(stdout).toContain('would remove 0');
  expect(code).toBe(1);
  expect(stdout).toContain(`${AWAY} fails`);
});

/** Waits until the schedule is in the middle of a backup, at a step of it, and gives the processes that make it. */
async function inTheMiddle(step: string): Promise<readonly number[]> {
  await held.next(step);
  const found = workers();
  expect(found.length).toBeGreaterThan(0);
  return found;
}

const isGone = (pids: readonly number[]) =>
  expect.poll(() => pids.filter((pid) => workers().includes(pid))).toEqual([]);

test('killed in the middle of each step, the process that makes backups is followed by one that finishes', async () => {
  for (const step of ['PUT README.txt', 'PUT data.age', 'GET data.age', 'PUT manifest.json', 'GET manifest.json']) {
    const killed = await inTheMiddle(step);
    for (const pid of killed) signalTo(pid, 'SIGKILL');
    await isGone(killed);
  }
  await nextEverywhere();
  await expect.poll(async () => (await targetView(BUCKET)).trouble).toBeNull();
  await expect.poll(async () => (await targetView(NEAR)).trouble).toBeNull();
  await onlyWholeAtBucket();
});

test('a node that is killed in the middle of a backup leaves no process behind, and the next one goes on', async () => {
  const left = await inTheMiddle('PUT data.age');
  await gateway.security.end('SIGKILL');
  await expect.poll(() => left.filter(isAlive)).toEqual([]);
  await gateway.restartSecurity('SIGKILL');
  node = gateway.security.pid;
  await nextEverywhere();
  await expect.poll(async () => (await targetView(BUCKET)).trouble).toBeNull();
});

/** What was left half done is listed as that; all others are whole, and the newest is the one that status tells. */
async function onlyWholeAtBucket(): Promise<void> {
  const newest = (await targetView(BUCKET)).newest?.name;
  const order = ['--json', 'backup', 'list', '--target', bucket];
  const { stdout } = await sallyport(order, '', gateway.securityEnvironment);
  const listed = JSON.parse(stdout) as { name: string; state: string; fault: string }[];
  const rest = listed.filter(({ state }) => state !== 'half');
  // Of the one that was killed at its very first step there is nothing, and the last one was whole.
  expect(listed.length - rest.length).toBeGreaterThanOrEqual(3);
  expect(rest.map(({ state, fault }) => `${state}${fault}`)).toEqual(rest.map(() => 'not verified'));
  expect(rest.map(({ name }) => name)).toContain(newest);
}

test('a share that is unmounted is noticed, and the folder below it stays empty', async () => {
  renameSync(near, `${near}-unmounted`);
  mkdirSync(near);
  await expect.poll(async () => (await targetView(NEAR)).trouble?.code).toBe('ERR_TARGET_GONE');
  await nextAt(far);
  expect(readdirSync(near)).toEqual([]);
  rmSync(near, { recursive: true });
  renameSync(`${near}-unmounted`, near);
  await nextAt(TARGETS[0]!);
  await expect.poll(async () => (await targetView(NEAR)).trouble).toBeNull();
});

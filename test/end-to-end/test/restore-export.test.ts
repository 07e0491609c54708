import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { AppProcess } from '@sallyport/local-cluster';
import * as api from '@sallyport/security-api/admin';
import { CLI, type Running, sallyport, scratchFolder, signalTo, startCommand } from '@sallyport/support';
import { request } from 'undici';
import { afterAll, expect, test } from 'vitest';
import { startBackend } from '../src/backend.ts';
import { makeExportPlace, takeExport } from '../src/exports.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';
import { Operator } from '../src/operator.ts';

const backend = await startBackend();
const safe = scratchFolder();
const journal = join(safe, 'journal');
mkdirSync(journal);
// The journal does not burn with the site.
const gateway = await Gateway.start({
  proxies: 1,
  settings: { rotateAfterMs: 0 },
  environment: { SALLYPORT_JOURNAL: `file:${journal}` },
});
await gateway.addResource('wiki', 'wiki.corp', backend.url);
const place = await makeExportPlace(safe);
const data = gateway.securityEnvironment['SALLYPORT_DATA']!;
const keyFile = join(safe, 'kek.json');
copyFileSync(join(data, 'security', 'kek.json'), keyFile);
afterAll(async () => {
  await gateway.stop();
  await backend.close();
  rmSync(safe, { recursive: true, force: true });
});

const ORDER = ['--target', place.folder, '--identity', place.identityFile, '--key-file', keyFile];

function restoring(...more: readonly string[]) {
  return ['--reason', 'the site burnt down', 'backup', 'restore', ...ORDER, '--actor', 'olga', ...more];
}

function restore(...more: readonly string[]) {
  return sallyport(restoring(...more), '', gateway.securityEnvironment);
}

async function startSecurity(): Promise<void> {
  gateway.security = await AppProcess.start('security', { environment: gateway.securityEnvironment });
}

/** The CA is that of the realm, so it is the same one; operators of before are not. */
async function comeAsOperator(): Promise<void> {
  const { adminUrl, ca, oneTimeToken } = gateway.security.ready;
  await gateway.operator.close();
  const operator = new Operator(adminUrl!, ca!);
  await operator.login(oneTimeToken!);
  (gateway as { operator: Operator }).operator = operator;
}

async function seqOfMap(): Promise<number> {
  const url = `${gateway.origins[0]!.replace(/^ws/, 'http')}/sallyport/v1/site-map`;
  const { siteMap } = (await (await request(url)).body.json()) as { siteMap: string };
  return (JSON.parse(Buffer.from(siteMap.split('.')[1]!, 'base64url').toString()) as { seq: number }).seq;
}

/** Everything of Security on this machine is gone. */
async function burn(): Promise<void> {
  await gateway.security.end('SIGKILL');
  emptyMachine();
}

function emptyMachine(): void {
  // As a machine that is gone: its database is no process any more either.
  const pid = join(data, 'database', 'cluster', 'postmaster.pid');
  if (existsSync(pid)) signalTo(Number(readFileSync(pid, 'utf8').split('\n')[0]), 'SIGKILL');
  rmSync(data, { recursive: true });
}

/** Between them the restore leaves something else behind each time. */
const STEPS = [
  'marking this folder',
  'opening the database',
  'loading the rows',
  'beginning a new epoch',
  'reading the copies of the journal',
] as const;

const MAX_TRIES = 5;

const STAND_STILL = new URL('../src/stand-still.ts', import.meta.url).href;

/** Runs a restore up to when it says that it begins a step; with more settings it may stand still there. */
async function runTo(step: string, order = restoring('--yes'), settings: NodeJS.ProcessEnv = {}): Promise<Running> {
  const environment = { ...gateway.securityEnvironment, ...settings };
  const running = startCommand('node', [CLI, ...order], { environment, ownGroup: true });
  await new Promise<void>((done) => {
    const look = setInterval(() => {
      const { exitCode, signalCode } = running.child;
      if (!running.output().includes(`· ${step}`) && exitCode === null && signalCode === null) return;
      clearInterval(look);
      done();
    }, 2);
  });
  await expect.poll(running.output).toContain(`· ${step}`);
  return running;
}

/** Runs a restore and interrupts it there; again on an empty machine when it was done before that, as on a busy one it may be. */
async function interruptedAt(step: string, interrupt: (running: Running) => Promise<unknown>): Promise<Running> {
  for (let tries = 1; ; tries++) {
    const running = await runTo(step);
    await interrupt(running);
    if (!running.output().includes('everything after') || tries === MAX_TRIES) return running;
    emptyMachine();
  }
}

/** The database that it has started lives on. */
const kill = (running: Running): Promise<unknown> => running.killAll();

const storage = { bob: memoryStorage(), ada: memoryStorage() };
let name = '';

test('before anything is changed, what stands in the way of a restore is said', async () => {
  for (const user of ['ada', 'bob']) await gateway.addUser(user);
  const ada = await gateway.device('ada', storage.ada);
  const bob = await gateway.device('bob', storage.bob);
  for (const device of [ada, bob]) expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  name = await takeExport(data, place);
  // A device that is a key ahead of the backup, and a user who is out.
  await bob.login({ user: 'bob', password: PASSWORD });
  expect(await gateway.operator.call(api.users.disable, { params: { name: 'ada' } })).toMatchObject({ inForce: true });

  // While all of it works, somebody tries whether it could come back: nothing but a scratch folder is touched.
  const scratch = scratchFolder();
  const drill = ['backup', 'drill', ...ORDER, '--scratch', scratch];
  const drilled = await sallyport(drill, '', gateway.securityEnvironment);
  expect(drilled.stdout, drilled.stderr).toContain(`${name} can be restored`);
  expect(readdirSync(scratch)).toEqual([]);

  const other = join(safe, 'other.txt');
  const { identityFile } = await makeExportPlace(scratchFolder());
  copyFileSync(identityFile, other);
  const wrongKeys = join(safe, 'wrong.json');
  writeFileSync(wrongKeys, JSON.stringify({ current: 1, keys: { 1: Buffer.alloc(32).toString('base64url') } }));
  const refused = async (...more: string[]): Promise<string> => {
    const { stderr, code } = await restore(...more);
    expect(code).not.toBe(0);
    return stderr;
  };
  expect(await refused()).toContain('whoever is no person at a terminal says --yes');
  expect(await refused('--yes')).toContain('stop it first, its database is never overwritten');
  await gateway.security.end('SIGTERM');
  expect(await refused('--yes', '--key-file', wrongKeys)).toContain('ERR_BACKUP_KEK');
  expect(await refused('--yes', '--identity', other)).toContain('no export there was verified with this identity');
  expect(await refused(name, '--yes', '--identity', other)).toContain('ERR_BACKUP_IDENTITY');
  expect(await refused('20200101T000000Z-00000000', '--yes')).toContain('ERR_TARGET_MISSING');
  expect(await refused('--yes', '--before', '2020-01-01T00:00:00Z')).toContain(
    'has no export of realm main that is that old',
  );
  expect(await refused('--yes', '--host', 'nonsense')).toContain('--host is OLD=NEW');
  expect(existsSync(join(data, 'security', 'restoring.json'))).toBe(false);
  await startSecurity();
  await gateway.live(1);
});

test('a site burns down: killed at every step the restore goes on, nothing half restored serves, and everybody comes back', async () => {
  const seq = await seqOfMap();
  await burn();
  const marked = join(data, 'security', 'restoring.json');
  let mark = '';
  for (const step of STEPS) {
    await interruptedAt(step, kill);
    if (step === 'loading the rows' || step === 'reading the copies of the journal')
      await expect(startSecurity()).rejects.toThrow('nothing half restored serves');
    if (step === 'loading the rows') mark = readFileSync(marked, 'utf8');
  }
  // Ctrl-C, however often it is pressed, lets it put down what it has in its hands first.
  const running = await interruptedAt('loading the rows', (one) => one.pressCtrlC());
  await expect.poll(running.output).toContain('it was not restored');
  const pidFile = join(data, 'database', 'cluster', 'postmaster.pid');
  expect(existsSync(pidFile)).toBe(false);
  // So does a restore whose command line alone was killed: it does not go on beside the next try.
  await interruptedAt('marking this folder', (one) => one.killAlone());
  expect([existsSync(pidFile), existsSync(marked)]).toEqual([false, true]);
  const { stdout, stderr } = await restore('--yes');
  expect(stdout, stderr).toContain('everything after');
  expect(existsSync(marked)).toBe(false);
  // Killed when all was done but this: there is nothing more to do, and no second new epoch.
  writeFileSync(marked, mark);
  const again = await restore('--yes');
  expect(again.stdout, again.stderr).toContain(`export ${name} was restored before`);
  await startSecurity();
  await comeAsOperator();
  await gateway.live(1);
  const events = await gateway.operator.call(api.audit.list, { query: { action: 'realm.new-epoch' } });
  const [begun] = events;
  expect(begun).toMatchObject({ actor: 'olga', reason: 'the site burnt down', outcome: 'done' });
  expect(begun!.subject).toContain(`export ${name}`);
  expect(await seqOfMap()).toBeGreaterThan(seq);
  const bob = await openDevice(storage.bob, () => CONTEXT);
  await bob.login({ user: 'bob', password: PASSWORD });
  expect((await bob.fetch('http://wiki.corp/echo')).status).toBe(200);
  const ada = await openDevice(storage.ada, () => CONTEXT);
  await expect(ada.login({ user: 'ada', password: PASSWORD })).rejects.toThrow();
  await expect(ada.fetch('http://wiki.corp/echo', { headers: { 'x-id': 'ada' } })).rejects.toThrow();
  expect([...backend.seen.keys()]).toEqual([]);
});

test('what no journal had is brought back by a Proxy that ran all the time', async () => {
  await gateway.addUser('eve');
  const eve = await gateway.device('eve');
  name = await takeExport(data, place);
  const { head } = await gateway.operator.call(api.status.get);
  expect(await gateway.operator.call(api.users.disable, { params: { name: 'eve' } })).toMatchObject({ inForce: true });
  await burn();
  rmSync(journal, { recursive: true });
  mkdirSync(journal);
  const lost = await restore('--yes');
  expect(lost.stderr).toContain('never belonged to this database');
  // Whoever says where the log ended is wrong: two entries are missing, and no copy shows it.
  const { stdout, stderr } = await restore('--yes', '--journal-is-lost', '--log-ended-at', String(head));
  expect(stdout, stderr).toContain(`lost   everything after`);
  await startSecurity();
  await comeAsOperator();
  await gateway.live(1);
  const isEveIn = async (): Promise<boolean> =>
    (await gateway.operator.call(api.users.list)).some(({ name: user, enabled }) => user === 'eve' && enabled);
  await expect.poll(isEveIn).toBe(false);
  const events = await gateway.operator.call(api.audit.list, { query: { action: 'revoke.again' } });
  expect(events.map(({ actor }) => actor)).toEqual(events.map(() => 'Proxy p1'));
  expect(events.length).toBeGreaterThan(0);
  await expect(eve.login({ user: 'eve', password: PASSWORD })).rejects.toThrow();
  await expect(eve.fetch('http://wiki.corp/echo', { headers: { 'x-id': 'eve' } })).rejects.toThrow();
  expect([...backend.seen.keys()]).toEqual([]);
});

test('what is here is put aside, not overwritten; without its journal everybody waits to be looked at, and need not enrol', async () => {
  await gateway.security.end('SIGTERM');
  rmSync(journal, { recursive: true });
  mkdirSync(journal);
  const asides = () => readdirSync(data).filter((file) => file.startsWith('before_restore_'));
  const marked = join(data, 'security', 'restoring.json');
  // Killed before the export was found whole: nothing has changed. Killed later: what was here is whole wherever it is.
  const order = restoring('--yes', '--journal-is-lost');
  const checking = 'checking the export';
  await kill(await runTo(checking, order, { NODE_OPTIONS: `--import ${STAND_STILL}`, STAND_STILL_AT: checking }));
  expect([existsSync(marked), asides()]).toEqual([false, []]);
  await kill(await runTo('putting what is here aside', order));
  expect(existsSync(marked)).toBe(true);
  expect(existsSync(join(data, asides()[0] ?? 'database', 'cluster', 'PG_VERSION'))).toBe(true);
  await expect(startSecurity()).rejects.toThrow('to go back');
  const { stdout, stderr } = await restore('--yes', '--journal-is-lost');
  expect(stdout, stderr).toContain('users stay out');
  expect(asides()).toHaveLength(1);
  expect(stdout).toContain(asides()[0]);
  await startSecurity();
  await comeAsOperator();
  await gateway.live(1);
  const bob = await openDevice(storage.bob, () => CONTEXT);
  await expect(bob.login({ user: 'bob', password: PASSWORD })).rejects.toThrow();
  await gateway.operator.call(api.users.enable, { params: { name: 'bob' } });
  await bob.login({ user: 'bob', password: PASSWORD });
  expect((await bob.fetch('http://wiki.corp/echo')).status).toBe(200);
});

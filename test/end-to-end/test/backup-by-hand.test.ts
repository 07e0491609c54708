import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  EXPORT_OBJECTS,
  listExports,
  openData,
  openFolderTarget,
  parseIdentity,
  parseManifest,
  parseTargetPlace,
} from '@sallyport/backup';
import { formatBase64Url, formatHex } from '@sallyport/channel';
import { memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { ChildPostgres, connectToPrimary } from '@sallyport/store-sql';
import { type Running, sallyport, scratchFolder, startCommand, waitFor } from '@sallyport/support';
import { afterAll, expect, test } from 'vitest';
import { HeldRequest, startS3 } from '../../../libs/backup/test/s3-server.ts';
import { takeExport } from '../src/exports.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';

const DAY_MS = 86_400_000;
const CLI = join(import.meta.dirname, '../../../apps/cli/src/main.ts');
/** What the command line runs on a Security host, so that a signal goes where it is meant to. */
const PROGRAM = join(import.meta.dirname, '../../../apps/security/src/commands/backup-command.ts');
const gateway = await Gateway.start();
const data = join(gateway.folder, 'security-data');
const folder = scratchFolder();
const [target, away] = ['target', 'away'].map((name) => join(folder, name)) as [string, string];
for (const made of [target, away]) mkdirSync(made);
const [identity, recipient] = ['identity', 'recipient'].map((name) => join(away, `backup-${name}-ada.txt`)) as [
  string,
  string,
];
afterAll(() => gateway.stop());

interface Listed {
  readonly name: string;
  readonly state: string;
  readonly fault: string;
  readonly verifiedAt: number | null;
}

async function run(
  args: readonly string[],
  from: string = data,
  environment: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; text: string }> {
  const { code, stdout, stderr } = await sallyport(['--data', from, '--json', 'backup', ...args], '', {
    SALLYPORT_BACKUP_RECIPIENTS: recipient,
    ...environment,
  });
  return { code, text: stdout + stderr };
}

async function done<T>(args: readonly string[], from?: string): Promise<T> {
  const { code, text } = await run(args, from);
  expect(code, text).toBe(0);
  return JSON.parse(text) as T;
}

async function refused(args: readonly string[], words: string, from?: string): Promise<void> {
  const { code, text } = await run(args, from);
  expect(code, text).toBe(1);
  expect(text).toContain(words);
}

const at = (place = target): string[] => ['--target', place];
const create = async (place = target): Promise<string> => (await done<{ name: string }>(['create', ...at(place)])).name;
const list = (place = target, from?: string): Promise<Listed[]> => done(['list', ...at(place)], from);
const verify = (name: string, place = target): string[] => ['verify', name, '--identity', identity, ...at(place)];

function databaseAddress() {
  const place = { folder: join(data, 'database'), passwordFile: join(data, 'security', 'database-password') };
  return ChildPostgres.addressOf(place);
}

async function onDatabase(statement: string): Promise<void> {
  const client = await connectToPrimary(databaseAddress(), 10_000);
  await client.query(statement);
  await client.end();
}

/** A host with an identity and no keys of the realm. */
const elsewhere = join(folder, 'elsewhere');

test('an identity is made for somewhere else, and never overwritten', async () => {
  await done(['keys', 'new', 'ada', '--out', away]);
  expect(statSync(identity).mode & 0o777).toBe(0o600);
  expect(readFileSync(recipient, 'utf8')).not.toContain('SECRET');
  await refused(['keys', 'new', 'ada', '--out', away], 'stays');
  await refused(['keys', 'new', 'eve', '--out', join(data, 'security')], 'folder of a server');
});

test('a backup is made while people log in, and counts when it was verified', async () => {
  await gateway.addUser('canary-user');
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  const credentials = { user: 'canary-user', password: PASSWORD };
  await device.enroll(await gateway.link('canary-user'), credentials);
  let working = true;
  let logins = 0;
  const login = (async () => {
    for (; working; logins++) await device.login(credentials);
  })();
  const name = await create();
  working = false;
  await login;
  expect(logins).toBeGreaterThan(0);
  device.close();
  expect(await list()).toMatchObject([{ name, state: 'not verified', verifiedAt: null }]);
  const scratch = join(folder, 'scratch');
  mkdirSync(scratch, { mode: 0o755 });
  const [verified] = await done<{ macs: boolean; rows: number }[]>([...verify(name), '--scratch', scratch]);
  expect(verified).toMatchObject({ macs: true });
  expect(verified!.rows).toBeGreaterThan(10);
  expect(readdirSync(scratch)).toEqual([]);
  expect(await list()).toMatchObject([{ name, state: 'verified' }]);
  const [shown] = await done<{ genuine: boolean; manifest: object }[]>(['show', name, ...at()]);
  expect(shown).toMatchObject({ genuine: true, manifest: { realm: 'main', name }, receipt: { macs: true } });
});

test('a backup has one size, for whoever makes it and whoever lists it', async () => {
  const made = await done<{ name: string; bytes: number }>(['create', ...at()]);
  expect((await list())[0]).toMatchObject({ name: made.name, bytes: made.bytes });
});

test('a file that is not there is named, with what it is and where to get it', async () => {
  const nowhere = join(folder, 'nowhere.txt');
  const order = ['verify', '--identity', nowhere, ...at()];
  await refused(order, `there is no identity file ${nowhere}: --identity names the backup-identity-`);
  await refused(['create', ...at(), '--recipient', nowhere], `there is no recipient file ${nowhere}: --recipient, or`);
});

test('a raw scan of every object of a backup, verified without kek.json, finds no secret, name, address or URL', async () => {
  const secret = 'canary-of-a-backend';
  await gateway.addResource('canary-wiki', 'canary-host.corp', 'http://canary-backend.corp:81');
  await gateway.operator.call(api.users.put, {
    params: { name: 'canary-user' },
    body: { displayName: 'canary-person', password: `${PASSWORD}-${secret}` },
  });
  mkdirSync(elsewhere);
  const name = await create();
  // A target that is gone keeps no other one from being verified.
  const { code, text } = await run([...verify(name, join(folder, 'gone')), target], elsewhere);
  expect(code, text).toBe(1);
  expect(JSON.parse(text)).toMatchObject([
    { name, macs: false, fault: '' },
    { fault: expect.stringContaining('ERR_TARGET_GONE') },
  ]);
  expect((await list())[0]).toMatchObject({ name, state: 'verified' });
  const files = Object.values(EXPORT_OBJECTS).map((object) => join(target, 'main', name, object));
  const contents = files.map((file) => readFileSync(file));
  const kek = Object.values(JSON.parse(readFileSync(join(data, 'security', 'kek.json'), 'utf8')).keys) as string[];
  const opener = readFileSync(identity, 'utf8')
    .split('\n')
    .find((line) => line.startsWith('AGE-SECRET'))!;
  const secrets = [...kek, opener, readFileSync(join(data, 'security', 'database-password'), 'utf8'), PASSWORD, secret];
  const words = ['canary-', '.corp', '127.0.0.1', 'localhost', 'http://', 'https://', 'ws://'].map((word) =>
    Buffer.from(word),
  );
  for (const word of [...words, ...secrets.flatMap(formsOf)])
    expect(
      contents.some((content) => content.includes(word)),
      word.toString(),
    ).toBe(false);
  // The scan can find: what is inside has the name, and still no password and no key.
  const inside = await plainOf(name);
  expect(inside.includes('canary-user')).toBe(true);
  for (const word of [PASSWORD, secret, ...kek].flatMap(formsOf)) expect(inside.includes(word)).toBe(false);
});

function formsOf(word: string): Buffer[] {
  const bytes = Buffer.from(word);
  return [
    bytes,
    Buffer.from(bytes.toString('base64').slice(0, -4)),
    Buffer.from(formatHex(bytes)),
    Buffer.from(formatBase64Url(bytes).slice(0, -2)),
  ];
}

async function plainOf(name: string): Promise<Buffer> {
  const place = join(target, 'main', name);
  const manifest = parseManifest(readFileSync(join(place, EXPORT_OBJECTS.manifest), 'utf8'));
  const opened = await openFolderTarget(target);
  const read: Buffer[] = [];
  const parts = openData(opened.get(`main/${name}/${EXPORT_OBJECTS.data}`), {
    manifest,
    identity: await parseIdentity(readFileSync(identity, 'utf8')),
  });
  for await (const { rows } of parts) for await (const bytes of rows) read.push(Buffer.from(bytes));
  return Buffer.concat(read);
}

const held = new HeldRequest();
const s3 = await startS3(folder, held.hold);
afterAll(() => s3.close());
const { accessKeyId, secretAccessKey, endpoint } = s3.place;
writeFileSync(join(folder, 's3.json'), JSON.stringify({ accessKeyId, secretAccessKey }), { mode: 0o600 });
const bucket = `s3://exports/deep?endpoint=${endpoint.origin}&region=us-east-1&credentials=${join(folder, 's3.json')}`;

const RECIPIENTS = { SALLYPORT_BACKUP_RECIPIENTS: recipient };

/** Starts `sallyport backup …`, as at a terminal, and lets it come to a step: a request to the bucket. */
async function startUpTo(step: string, args: readonly string[], environment: NodeJS.ProcessEnv = {}): Promise<Running> {
  const reached = held.next(step);
  const order = [CLI, '--data', data, '--json', 'backup', ...args];
  const command = startCommand('node', order, { environment: { ...RECIPIENTS, ...environment }, ownGroup: true });
  await Promise.race([reached, new Promise((ended) => command.child.once('exit', ended))]);
  expect(command.child.exitCode, `${step}\n${command.output()}`).toBeNull();
  return command;
}

const createUpTo = (step: string): Promise<Running> => startUpTo(step, ['create', ...at(bucket)]);

/** For ten commands, one after the other, on a busy machine. */
const KILLED_MS = 600_000;

/** The three ways in which a command is killed: what it runs, it alone, and both. */
const KILLS = ['killChildren', 'killAlone', 'killAll'] as const;

async function wholeAt(place: string): Promise<number> {
  const opened = await parseTargetPlace(place).open();
  const found = await listExports(opened, 'main');
  await opened.close();
  return found.filter(({ whole }) => whole).length;
}

/** Where it is killed, and whether it is whole by then. */
const STEPS = [
  ['PUT README.txt', false],
  ['PUT data.age', false],
  ['GET data.age', false],
  ['PUT manifest.json', false],
  ['GET manifest.json', true],
] as const;

test(
  'killed at every step, or by Ctrl-C at once, the next backup is whole, and nothing half is listed as one',
  async () => {
    let wholes = 0;
    for (const [i, [step, isWhole]] of STEPS.entries()) {
      const [command, kill] = [await createUpTo(step), KILLS[i % KILLS.length]!];
      await command[kill]();
      if (kill === 'killChildren') await expect.poll(command.output).toContain('it was broken off (SIGKILL)');
      wholes += Number(isWhole);
      expect(await wholeAt(bucket), step).toBe(wholes);
    }
    const command = await createUpTo('PUT data.age');
    await command.pressCtrlC();
    await expect.poll(command.output).toContain('it was broken off (SIGINT)');
    const name = await create(bucket);
    expect((await list(bucket)).map(({ state }) => state).filter((state) => state !== 'half')).toHaveLength(wholes + 1);
    expect(await done(verify(name, bucket))).toMatchObject([{ name, macs: true }]);
    expect(readdirSync(join(data, 'security', 'backup'))).toEqual([]);
  },
  KILLED_MS,
);

test(
  'a verification that is killed at any step counts for nothing, and the next one leaves nothing of it in the clear',
  async () => {
    const name = await create(bucket);
    const scratch = join(folder, 'killed-verify');
    mkdirSync(scratch, { mode: 0o755 });
    const order = [...verify(name, bucket), '--scratch', scratch];
    for (const kill of KILLS) {
      const command = await startUpTo('GET data.age', order);
      expect(readdirSync(scratch)).toHaveLength(1);
      await command[kill]();
      // Who is left alone puts down what it has, like at Ctrl-C; what was killed itself cannot.
      if (kill === 'killAlone') expect(readdirSync(scratch)).toEqual([]);
    }
    await (await startUpTo('PUT receipt.json', order)).killAll();
    const stateOf = async () => (await list(bucket)).find((one) => one.name === name)?.state;
    expect(await stateOf()).toBe('not verified');
    expect(await done(order)).toMatchObject([{ name, macs: true }]);
    expect(await stateOf()).toBe('verified');
    expect(readdirSync(scratch)).toEqual([]);
  },
  KILLED_MS,
);

/** In the order in which what is left of a backup goes. */
const PRUNE_STEPS = ['DELETE manifest.json', 'DELETE README.txt', 'DELETE data.age', 'DELETE receipt.json'] as const;

test(
  'killed at every step of it, the next prune removes what is not kept, and nothing else',
  async () => {
    const place = bucket.replace('/deep?', '/pruned?');
    const environment = { SALLYPORT_BACKUP_KEEP: 'all 1d' };
    const prune = (...more: readonly string[]) => ['prune', ...at(place), ...more];
    const pruned = async (...more: readonly string[]) => {
      const { code, text } = await run(prune(...more), data, environment);
      expect(code, text).toBe(0);
      return (JSON.parse(text) as { remove: string[]; removed: string[] }[])[0]!;
    };
    await done(['target', 'init', ...at(place)]);
    const taking = { folder, identity: await parseIdentity(readFileSync(identity, 'utf8')) };
    const target = await parseTargetPlace(place).open();
    const take = (days: number) => takeExport(data, taking, { target, takenAt: Date.now() - days * DAY_MS });
    const old = [await take(10), await take(9), await take(8)];
    const kept = [await take(0.1), await take(0)];
    expect((await pruned('--dry-run')).remove).toEqual(old);
    for (const [i, step] of PRUNE_STEPS.entries()) {
      const command = await startUpTo(step, prune(), environment);
      await command[KILLS[i % KILLS.length]!]();
      const whole = (await listExports(target, 'main')).filter((one) => one.whole).map(({ name }) => name);
      // Before its first step nothing has gone, and behind it the oldest one is none any more.
      expect(whole, step).toEqual([...(i === 0 ? old : old.slice(1)), ...kept]);
    }
    expect((await pruned()).removed).toEqual(old);
    await target.close();
    expect(await list(place)).toMatchObject(
      [...kept].reverse().map((name) => ({ name, state: 'verified', fault: '' })),
    );
  },
  KILLED_MS,
);

test.each(['verify', 'watch'])(
  '%s: broken off by Ctrl-C, however often, it leaves nothing in the clear',
  async (verb) => {
    const scratch = join(folder, `broken-off-${verb}`);
    mkdirSync(scratch, { mode: 0o755 });
    const name = await create();
    const args = [
      PROGRAM,
      verb,
      ...(verb === 'verify' ? [name] : []),
      '--identity',
      identity,
      ...at(),
      '--scratch',
      scratch,
    ];
    const command = startCommand('node', args, { environment: { SALLYPORT_DATA: data }, ownGroup: true });
    await waitFor(() => readdirSync(scratch).length > 0, 'a scratch database', command.output);
    await command.pressCtrlC();
    expect(readdirSync(scratch)).toEqual([]);
  },
);

test('a database that was changed behind our back makes a backup that is not sound, and says which row', async () => {
  await onDatabase(`update "users" set "name" = 'mallory' where "name" = 'canary-user'`);
  const name = await create();
  await refused(verify(name), 'ERR_BACKUP_UNSOUND');
  expect((await list())[0]).toMatchObject({ name, state: 'not verified' });
});

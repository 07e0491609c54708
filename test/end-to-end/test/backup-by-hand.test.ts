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
import { startS3 } from '../../../libs/backup/test/s3-server.ts';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';

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

async function run(args: readonly string[], from: string = data): Promise<{ code: number | null; text: string }> {
  const { code, stdout, stderr } = await sallyport(['--data', from, '--json', 'backup', ...args], '', {
    SALLYPORT_BACKUP_RECIPIENTS: recipient,
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

/** The request at which a backup that is under way is held up: its method, and the object. */
const held: { at: string; reached: () => void } = { at: '', reached: () => undefined };
const s3 = await startS3(folder, async (method, path) => {
  if (`${method} ${path.split('/').at(-1)}` !== held.at) return;
  held.reached();
  await new Promise(() => undefined);
});
afterAll(() => s3.close());
const { accessKeyId, secretAccessKey, endpoint } = s3.place;
writeFileSync(join(folder, 's3.json'), JSON.stringify({ accessKeyId, secretAccessKey }), { mode: 0o600 });
const bucket = `s3://exports/deep?endpoint=${endpoint.origin}&region=us-east-1&credentials=${join(folder, 's3.json')}`;

/** Starts a backup, as at a terminal, and lets it come to a step. */
async function createUpTo(step: string): Promise<Running> {
  const reached = new Promise<void>((resolve) => Object.assign(held, { at: step, reached: resolve }));
  const args = ['--data', data, '--json', 'backup', 'create', ...at(bucket), '--recipient', recipient];
  const command = startCommand('node', [CLI, ...args], { ownGroup: true });
  await reached;
  held.at = '';
  return command;
}

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

test('killed at every step, or by Ctrl-C at once, the next backup is whole, and nothing half is listed as one', async () => {
  let wholes = 0;
  for (const [step, isWhole] of STEPS) {
    const command = await createUpTo(step);
    await command.killChildren();
    expect(command.output()).toContain('it was broken off (SIGKILL)');
    wholes += Number(isWhole);
    expect(await wholeAt(bucket), step).toBe(wholes);
  }
  const command = await createUpTo('PUT data.age');
  await command.pressCtrlC();
  expect(command.output()).toContain('it was broken off (SIGINT)');
  const name = await create(bucket);
  expect((await list(bucket)).map(({ state }) => state).filter((state) => state !== 'half')).toHaveLength(wholes + 1);
  expect(await done(verify(name, bucket))).toMatchObject([{ name, macs: true }]);
  expect(readdirSync(join(data, 'security', 'backup'))).toEqual([]);
});

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

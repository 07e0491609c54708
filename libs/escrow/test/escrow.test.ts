import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Decrypter, Encrypter, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { expect, test } from 'vitest';
import {
  checkEscrowReceipt,
  combineShares,
  type EscrowContent,
  formatOfficer,
  makeOfficer,
  makeSet,
  openIdentity,
  openShare,
  parseOfficer,
  receiptOfDrill,
  receiptOfShare,
  type ShareFile,
} from '../src/index.ts';

const NAMES = ['olga', 'pia', 'quentin', 'ravi', 'sven'];
const PASSPHRASE = 'correct horse battery';
const key = (fill: number): Uint8Array => new Uint8Array(32).fill(fill);
const content = (): EscrowContent => ({
  keks: { current: 2, keys: new Map([[2, key(2)]]), retired: new Map([[1, key(1)]]) },
  rootKey: '{"kty":"OKP","d":"canary"}',
});

const secrets = await Promise.all(NAMES.map(() => generateX25519Identity()));
const officers = await Promise.all(
  NAMES.map(async (name, i) => ({ name, recipient: await identityToRecipient(secrets[i]!) })),
);

async function made(threshold = 3, realm = 'main') {
  const { description, files } = await makeSet({
    ...{ realm, content: content(), rootKey: 'thumb', officers, threshold, createdAt: 1_800_000_000_000 },
  });
  const shares = await Promise.all(files.map((file, i) => openShare(file, secrets[i]!)));
  return { description, files, shares };
}

const { description, files, shares } = await made();

test('any three of five open the set, and get what was put in', async () => {
  for (const some of [
    [0, 1, 2],
    [4, 2, 0],
    [1, 3, 4],
    [0, 1, 2, 3, 4],
  ]) {
    const opened = await combineShares(some.map((i) => shares[i]!));
    expect(opened.content).toEqual(content());
  }
});

test('two of three that are needed are too few, and are told who they are', async () => {
  await expect(combineShares([shares[0]!, shares[1]!])).rejects.toMatchObject({
    code: 'ERR_ESCROW_FEW',
    message: '3 shares are needed, 2 are here: of olga, pia',
  });
  await expect(combineShares([])).rejects.toMatchObject({ code: 'ERR_ESCROW_FEW' });
});

test('the same share twice does not count twice', async () => {
  const given = [shares[0]!, shares[1]!, shares[0]!];
  await expect(combineShares(given)).rejects.toMatchObject({
    code: 'ERR_ESCROW_TWICE',
    message: expect.stringContaining('olga'),
  });
});

test('a share of another set is refused, and named', async () => {
  const other = await made();
  const given = [shares[0]!, shares[1]!, other.shares[2]!];
  await expect(combineShares(given)).rejects.toMatchObject({
    code: 'ERR_ESCROW_SET',
    message: expect.stringContaining('quentin'),
  });
});

test('whatever is altered in a share is refused, and whose it is said', async () => {
  const flipped = (text: string): string =>
    (text[9] === 'A' ? `${text.slice(0, 9)}B` : `${text.slice(0, 9)}A`) + text.slice(10);
  const bad = shares[2]!;
  const changed: ShareFile[] = [
    { ...bad, share: flipped(bad.share) },
    { ...bad, share: shares[3]!.share },
    { ...bad, content: flipped(bad.content) },
    { ...bad, description: { ...bad.description, threshold: 2 } },
    { ...bad, name: 'ravi' },
  ];
  for (const one of changed)
    await expect(combineShares([shares[0]!, shares[1]!, one])).rejects.toMatchObject({ code: 'ERR_ESCROW_SHARE' });
});

test('a file that was altered, is of another officer, or is none, does not open', async () => {
  const file = Uint8Array.from(files[0]!);
  file[file.length - 20]! ^= 1;
  await expect(openShare(file, secrets[0]!)).rejects.toMatchObject({ code: 'ERR_ESCROW_SHARE' });
  await expect(openShare(files[0]!.subarray(0, -1), secrets[0]!)).rejects.toMatchObject({ code: 'ERR_ESCROW_SHARE' });
  await expect(openShare(files[1]!, secrets[0]!)).rejects.toMatchObject({ code: 'ERR_ESCROW_SHARE' });
  const encrypter = new Encrypter();
  encrypter.addRecipient(officers[0]!.recipient);
  const letter = await encrypter.encrypt('{"description":{"format":2}}');
  await expect(openShare(letter, secrets[0]!)).rejects.toMatchObject({
    code: 'ERR_ESCROW_SHARE',
    message: expect.stringContaining('no share'),
  });
});

test('neither the description nor a single share tells anything of a key', () => {
  const known = [key(1), key(2)].flatMap((one) =>
    ['base64url', 'hex', 'base64'].map((form) => Buffer.from(one).toString(form as 'hex')),
  );
  for (const text of [JSON.stringify(description), JSON.stringify(shares[0]!)])
    for (const secret of [...known, 'canary']) expect(text).not.toContain(secret);
});

test('an order that makes no sense is refused', async () => {
  const order = { realm: 'main', content: content(), rootKey: 't', officers, threshold: 3, createdAt: 0 };
  for (const threshold of [0, 1, 6, 2.5, Number.NaN])
    await expect(makeSet({ ...order, threshold })).rejects.toMatchObject({ code: 'ERR_ESCROW_FEW' });
  await expect(makeSet({ ...order, officers: [officers[0]!, officers[0]!] })).rejects.toMatchObject({
    code: 'ERR_ESCROW_OFFICER',
  });
  const sameKey = [officers[0]!, { ...officers[1]!, recipient: officers[0]!.recipient }];
  await expect(makeSet({ ...order, officers: sameKey, threshold: 2 })).rejects.toMatchObject({
    code: 'ERR_ESCROW_OFFICER',
  });
});

test('an officer proves that their share opens, and nobody else does so for them', () => {
  const known = description;
  const receipt = receiptOfShare(shares[0]!, 1_800_000_000_001);
  expect(() => checkEscrowReceipt(known, receipt)).not.toThrow();
  const refused = (changed: object, words: string) =>
    expect(() => checkEscrowReceipt(known, { ...receipt, ...changed })).toThrow(words);
  refused({ at: receipt.at + 1 }, 'was not made with the share');
  refused({ officers: ['pia'] }, 'was not made with the share');
  refused({ officers: ['mallory'] }, 'names somebody else');
  refused({ officers: [] }, 'was not made with the share');
  refused({ set: 'ffff' }, 'is of another set');
  refused({ signature: 'AAAA' }, 'was not made with the share');
  refused({ keks: known.keks, officers: ['olga', 'pia', 'ravi'] }, 'was not made with the shares');
  expect(JSON.stringify(receipt)).not.toContain(shares[0]!.share);
});

test('a drill proves that what came out is what Security put in', async () => {
  const names = ['olga', 'pia', 'quentin'];
  const three = shares.slice(0, 3);
  const receipt = receiptOfDrill(await combineShares(three), [...three].reverse(), 1_800_000_000_002);
  expect(() => checkEscrowReceipt(description, receipt)).not.toThrow();
  expect(() => checkEscrowReceipt(description, { ...receipt, officers: names.slice(1) })).toThrow('too few officers');
  expect(() => checkEscrowReceipt(description, { ...receipt, officers: ['olga', 'pia', 'pia'] })).toThrow(
    'somebody else',
  );
  expect(() => checkEscrowReceipt({ ...description, keks: [{ id: 2, check: 'ff' }] }, receipt)).toThrow('other keys');
  const other = await made();
  const foreign = receiptOfDrill(await combineShares(other.shares.slice(0, 3)), other.shares.slice(0, 3), 0);
  expect(() => checkEscrowReceipt(description, { ...foreign, set: description.set })).toThrow(
    'was not made with the shares of this set',
  );
});

test('a drill names nobody whose share was not there', async () => {
  const [olga, pia, quentin, ravi] = shares as [ShareFile, ShareFile, ShareFile, ShareFile];
  const opened = await combineShares([olga, pia, quentin]);
  const absent = receiptOfDrill(opened, [olga, pia, { ...quentin, name: 'ravi' }], 1_800_000_000_003);
  expect(() => checkEscrowReceipt(description, absent)).toThrow('whose shares were not there');
  const good = receiptOfDrill(opened, [olga, pia, quentin], 1_800_000_000_003);
  for (const signatures of [good.shares!.slice(1), [...good.shares!, good.shares![0]!], [...good.shares!].reverse()])
    expect(() => checkEscrowReceipt(description, { ...good, shares: signatures })).toThrow(
      'whose shares were not there',
    );
  expect(() => checkEscrowReceipt(description, receiptOfDrill(opened, [olga, pia, ravi], 1))).not.toThrow();
});

test('an officer makes a key of their own, and age opens what is made for it', async () => {
  const { officer, identity } = await makeOfficer('tara', PASSPHRASE, 10);
  expect(parseOfficer(formatOfficer(officer))).toEqual(officer);
  await expect(openIdentity(identity, async () => 'something else')).rejects.toMatchObject({
    code: 'ERR_ESCROW_PASSPHRASE',
  });
  const secret = await openIdentity(identity, async () => PASSPHRASE);
  expect(await identityToRecipient(secret)).toBe(officer.recipient);
  const decrypter = new Decrypter();
  decrypter.addPassphrase(PASSPHRASE);
  expect(await decrypter.decrypt(identity, 'text')).toContain(secret);
  await expect(makeOfficer('tara', 'short', 10)).rejects.toMatchObject({ code: 'ERR_ESCROW_PASSPHRASE' });
  await expect(makeOfficer('Tara!', PASSPHRASE, 10)).rejects.toMatchObject({ code: 'ERR_ESCROW_OFFICER' });
  for (const text of [
    '',
    'age1abc tara',
    `${officer.recipient}`,
    `${formatOfficer(officer)}${officer.recipient} two`,
    secret,
  ])
    expect(() => parseOfficer(text)).toThrow(expect.objectContaining({ code: 'ERR_ESCROW_OFFICER' }));
});

test("Debian's age opens a share, too, so that an officer can hand it to another machine", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'escrow-'));
  try {
    writeFileSync(join(folder, 'id'), `${secrets[0]}\n`, { mode: 0o600 });
    writeFileSync(join(folder, 'share'), files[0]!);
    let text: string;
    try {
      text = execFileSync('age', ['-d', '-i', join(folder, 'id'), join(folder, 'share')], { encoding: 'utf8' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return context.skip('age is not on this machine');
      throw error;
    }
    expect(JSON.parse(text)).toEqual(shares[0]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

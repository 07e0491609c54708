import { generateKeyPairSync } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { readAttestationFile, softwareAttestation } from '../src/index.ts';
import { type Authority, androidMaker, attestedKey, chainStatement, issue } from './platforms.ts';

const BOUND = new Uint8Array(32).fill(1);
const CLAIM = { bound: BOUND, app: 'com.example.app', key: undefined, now: Date.now() };

/** A folder with files, and the path of the one that names the others. */
function folderOf(said: unknown, files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), 'attestation-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  mkdirSync(join(folder, 'keys'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  writeFileSync(join(folder, 'attestation.json'), typeof said === 'string' ? said : JSON.stringify(said));
  return join(folder, 'attestation.json');
}

const pemOf = ({ certificate }: Authority): string => certificate.toString();

test('without a file only the connector for development is there, and it is called what it is', async () => {
  const attestation = softwareAttestation();
  const statement = new Uint8Array(0);
  expect(await attestation.verify({ ...CLAIM, connector: 'software', statement })).toEqual({
    level: 'software',
    facts: {},
  });
  for (const connector of ['android-key', 'play-integrity', 'app-attest', 'none', ''])
    expect(await attestation.verify({ ...CLAIM, connector, statement })).toEqual({ fault: 'connector-unknown' });
});

test('a list of revoked keys counts as soon as the file has changed, and one that breaks leaves the last', async () => {
  const maker = await androidMaker();
  const chip = await issue(maker.root, { name: 'CN=Chip', serialNumber: '0abc' });
  const files = { 'roots.pem': pemOf(maker.root), 'status.json': '{"entries":{}}' };
  const path = folderOf({ androidKey: { roots: 'roots.pem', revoked: 'status.json' } }, files);
  const warned: unknown[] = [];
  const attestation = readAttestationFile(path, (error) => warned.push(error));
  const statement = chainStatement(await attestedKey(chip, { challenge: BOUND }), chip);
  const verify = () => attestation.verify({ ...CLAIM, connector: 'android-key', statement });
  expect(await verify()).toMatchObject({ level: 'hardware' });
  const list = join(path, '..', 'status.json');
  writeFileSync(list, '{"entries":{"abc":{"status":"REVOKED"}}}');
  utimesSync(list, 1, 1);
  expect(await verify()).toEqual({ fault: 'certificate-revoked' });
  writeFileSync(list, 'half a li');
  utimesSync(list, 2, 2);
  expect(await verify()).toEqual({ fault: 'certificate-revoked' });
  expect(warned).toHaveLength(1);
});

test('keys of the Play Console are read as it shows them', () => {
  const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const files = {
    'keys/d': Buffer.alloc(32).toString('base64'),
    'keys/v': publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
  };
  const said = { playIntegrity: { 'com.example.app': { decryptionKey: 'keys/d', verificationKey: 'keys/v' } } };
  expect(() => readAttestationFile(folderOf(said, files), () => undefined)).not.toThrow();
});

const BAD: readonly [what: string, said: unknown, files: Record<string, string>, words: RegExp][] = [
  ['no JSON', '{', {}, /attestation\.json: it is no JSON/],
  ['a word that nobody knows', { android: {} }, {}, /attestation\.json: /],
  ['a file that is not there', { androidKey: { roots: 'roots.pem' } }, {}, /roots\.pem/],
  ['roots without a certificate', { androidKey: { roots: 'r' } }, { r: 'none' }, /\/r: there is no certificate in it/],
  [
    'a short key',
    { playIntegrity: { a: { decryptionKey: 'd', verificationKey: 'v' } } },
    { d: 'c2VjcmV0', v: '' },
    /\/d: a key of 32 bytes is expected, it has 6/,
  ],
  ['no team', { appAttest: { roots: 'r', teams: [] } }, {}, /attestation\.json: /],
];

test.each(BAD)('a node does not start with %s, and says where', (_, said, files, words) => {
  expect(() => readAttestationFile(folderOf(said, files), () => undefined)).toThrow(words);
});

test('what a key file holds is never said', () => {
  const said = { playIntegrity: { a: { decryptionKey: 'd', verificationKey: 'v' } } };
  const d = Buffer.alloc(32, 5).toString('base64');
  expect(() => readAttestationFile(folderOf(said, { d, v: 'canary-of-a-key' }), () => undefined)).toThrow(
    expect.not.objectContaining({ message: expect.stringContaining('canary') }),
  );
});

import { generateKeyPairSync } from 'node:crypto';
import { encodeCbor, formatBase64Url } from '@sallyport/channel';
import { expect, test } from 'vitest';
import { attestationOf } from '../src/attestation-file.ts';
import { playIntegrityConnector } from '../src/play-integrity.ts';
import { playConsole } from './platforms.ts';

const BOUND = new Uint8Array(32).fill(1);
const APP = 'com.example.app';
const NOW = Date.now();
const { keys, statement } = playConsole();

/** A verdict in Google's form. */
function verdict(over: { request?: object; app?: object; device?: object } = {}): object {
  return {
    requestDetails: {
      requestPackageName: APP,
      requestHash: formatBase64Url(BOUND),
      timestampMillis: String(NOW - 2_000),
      ...over.request,
    },
    appIntegrity: {
      appRecognitionVerdict: 'PLAY_RECOGNIZED',
      packageName: APP,
      certificateSha256Digest: [formatBase64Url(new Uint8Array(32).fill(7))],
      versionCode: '42',
      ...over.app,
    },
    deviceIntegrity: { deviceRecognitionVerdict: ['MEETS_DEVICE_INTEGRITY', 'MEETS_STRONG_INTEGRITY'], ...over.device },
    accountDetails: { appLicensingVerdict: 'LICENSED' },
  };
}

function verify(sent: Uint8Array) {
  const connector = playIntegrityConnector(new Map([[APP, keys]]));
  return attestationOf(new Map([['play-integrity', connector]])).verify({
    ...{ connector: 'play-integrity', statement: sent, bound: BOUND, app: APP, key: undefined, now: NOW },
  });
}

test('a verdict is opened and verified with the keys of the app, and its strength is what it says', async () => {
  expect(await verify(await statement(verdict()))).toEqual({
    level: 'hardware',
    facts: {
      id: APP,
      signers: ['07'.repeat(32)],
      build: '42',
      os: 'android',
      posture: { rooted: false, emulator: false },
    },
  });
  const weaker = verdict({ device: { deviceRecognitionVerdict: ['MEETS_DEVICE_INTEGRITY'] } });
  expect(await verify(await statement(weaker))).toMatchObject({ level: 'platform' });
});

const REFUSED: readonly [name: string, fault: string, over: Parameters<typeof verdict>[0]][] = [
  ['another challenge', 'challenge-other', { request: { requestHash: 'AAAA' } }],
  ['no challenge', 'challenge-other', { request: { requestHash: undefined, nonce: formatBase64Url(BOUND) } }],
  ['another app', 'app-other', { request: { requestPackageName: 'com.example.evil' } }],
  ['an app that is another one than asked', 'app-other', { app: { packageName: 'com.example.evil' } }],
  ['an app that Play does not know', 'app-unrecognised', { app: { appRecognitionVerdict: 'UNRECOGNIZED_VERSION' } }],
  ['a device without integrity', 'device-unrecognised', { device: { deviceRecognitionVerdict: [] } }],
  [
    'a device of basic integrity',
    'device-unrecognised',
    { device: { deviceRecognitionVerdict: ['MEETS_BASIC_INTEGRITY'] } },
  ],
  ['an hour ago', 'challenge-expired', { request: { timestampMillis: String(NOW - 3_600_000) } }],
];

test.each(REFUSED)('a verdict for %s is refused: %s', async (_, fault, over) => {
  expect(await verify(await statement(verdict(over)))).toEqual({ fault });
});

test('a verdict that somebody else signed, or that is only encrypted, is refused', async () => {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  expect(await verify(await statement(verdict(), privateKey))).toEqual({ fault: 'chain-broken' });
  expect(await verify(encodeCbor({ token: 'a.b.c.d.e' }))).toEqual({ fault: 'chain-broken' });
  expect(await verify(encodeCbor({ token: '' }))).toEqual({ fault: 'chain-broken' });
});

test('what is no statement is malformed, and throws nothing', async () => {
  for (const sent of [new Uint8Array(0), encodeCbor({}), await statement({}), await statement({ requestDetails: 1 })])
    expect(await verify(sent)).toEqual({ fault: 'malformed' });
});

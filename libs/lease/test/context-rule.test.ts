import { expect, test } from 'vitest';
import { checkContext, compareVersions } from '../src/index.ts';

const APP = {
  id: 'app',
  version: '2.1',
  build: '',
  signer: new Uint8Array(32),
  os: 'android',
  osVersion: '15',
  osPatch: '',
  model: '',
  sdk: '',
  posture: { rooted: false },
};

const UNKNOWN = { ...APP, signer: new Uint8Array(0), os: '', osVersion: '', posture: {} };

test.each([
  ['1.2.3', '1.2.3', 0],
  ['1.10', '1.9', 1],
  ['1.2', '1.2.0', 0],
  ['1', '1.0.1', -1],
  ['x', '1', -1],
])('version %s against %s', (a, b, sign) => {
  expect(Math.sign(compareVersions(a, b))).toBe(sign);
});

test.each([
  ['nothing asked', {}, undefined],
  ['the app and version', { apps: [{ id: 'app', minVersion: '2.0' }] }, undefined],
  ['an app too old', { apps: [{ id: 'app', minVersion: '2.2' }] }, 'APP_UPDATE_REQUIRED'],
  ['versions that are revoked', { apps: [{ id: 'app', notVersions: ['2.0', '2.1'] }] }, 'CONTEXT_DENIED'],
  ['versions below one', { apps: [{ id: 'app', notBelow: '2.1.1' }] }, 'CONTEXT_DENIED'],
  ['versions below its own', { apps: [{ id: 'app', notBelow: '2.1' }] }, undefined],
  ['versions of which it is none', { apps: [{ id: 'app', notVersions: ['2.0', '2.1.0'] }] }, undefined],
  ['another app', { apps: [{ id: 'other' }] }, 'CONTEXT_DENIED'],
  ['a system of the app', { apps: [{ id: 'app', platforms: [{ os: 'android', minOsVersion: '9' }] }] }, undefined],
  ['a system that the app is not for', { apps: [{ id: 'app', platforms: [{ os: 'ios' }] }] }, 'CONTEXT_DENIED'],
  [
    'a system too old for the app',
    { apps: [{ id: 'app', platforms: [{ os: 'android', minOsVersion: '99' }] }] },
    'CONTEXT_DENIED',
  ],
  ['no app at all', { apps: [] }, 'CONTEXT_DENIED'],
  ['another signer', { apps: [{ id: 'app', signers: ['ff'.repeat(32)] }] }, 'CONTEXT_DENIED'],
  ['a known fact', { posture: { rooted: false } }, undefined],
  ['a fact that differs', { posture: { rooted: true } }, 'CONTEXT_DENIED'],
  ['a fact the device does not know', { posture: { encrypted: true } }, 'CONTEXT_DENIED'],
  ['an older system', { minOsVersion: '16' }, 'CONTEXT_DENIED'],
  ['another system', { os: ['ios'] }, 'CONTEXT_DENIED'],
])('context rule: %s', (_what, rule, expected) => {
  expect(checkContext(rule, APP)).toBe(expected);
});

test.each([
  ['system', { os: ['android', ''] }],
  ['version of the system', { minOsVersion: '0' }],
  ['signer', { apps: [{ id: 'app', signers: ['00'.repeat(32)] }] }],
  ['posture', { posture: { rooted: false } }],
])('a %s that is left out fulfils no rule', (_what, rule) => {
  expect(checkContext(rule, UNKNOWN)).toBe('CONTEXT_DENIED');
});

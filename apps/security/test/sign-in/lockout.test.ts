import { type InstallationRow, LOCKOUT, putUser } from '@sallyport/access';
import { expect, test } from 'vitest';

import { limited } from '../../src/sign-in/lockout.ts';
import { openResume, sealResume } from '../../src/sign-in/resume.ts';
import { verifyCredentials } from '../../src/sign-in/verify.ts';
import { addressThrottle } from '../../src/stores/address-throttle.ts';
import { scene } from '../scene.ts';

const BY = { actor: 'olga', reason: 'unit test' };
const NOWHERE = { directory: undefined, identity: undefined };

test('a stolen device gets no more guesses of the password by moving from address to address', async () => {
  const { context } = await scene();
  const { user } = await putUser(context.access, 'ada', { password: 'right password' }, BY);
  const claim = (device: string | undefined, address: string, secret: string) => {
    const installation = device === undefined ? undefined : ({ id: device } as InstallationRow);
    const claimant = { user, place: NOWHERE, address, installation };
    return verifyCredentials(context, claimant, { kind: 'password', user: 'ada', secret });
  };
  for (let i = 0; i < LOCKOUT.free; i++) await claim('stolen', `10.0.0.${i}`, 'a guess');
  expect(await claim('stolen', '10.0.1.1', 'right password')).toMatchObject({ fit: false, code: 'LOCKED' });
  // Who has another device, or enrols one, is not locked out by that.
  expect(await claim('mine', '10.0.1.2', 'right password')).toMatchObject({ fit: true });
  expect(await claim(undefined, '10.0.1.3', 'right password')).toMatchObject({ fit: true });
});

test('guesses from one network of IPv6 are guesses from one address', async () => {
  const { context } = await scene();
  const { user } = await putUser(context.access, 'ada', { password: 'right password' }, BY);
  const claim = (address: string, secret: string) => {
    const claimant = { user, place: NOWHERE, address, installation: undefined };
    return verifyCredentials(context, claimant, { kind: 'password', user: 'ada', secret });
  };
  for (let i = 0; i < LOCKOUT.free; i++) await claim(`2001:db8:1:2::${i}`, 'a guess');
  expect(await claim('2001:db8:1:2:ffff::1', 'right password')).toMatchObject({ code: 'LOCKED' });
  expect(await claim('2001:db8:1:3::1', 'right password')).toMatchObject({ fit: true });
});

test('a try under several lock-outs counts for all of them, or for none', async () => {
  const { context } = await scene();
  const { lockout } = context;
  const wrong = { work: async () => false, right: (fits: boolean) => fits };
  for (let i = 0; i < LOCKOUT.free; i++) await limited(lockout, ['device'], wrong);
  for (let i = 0; i < 3 * LOCKOUT.underWay; i++)
    expect(await limited(lockout, ['address', 'device'], wrong)).toHaveProperty('waitMs');
  expect(await limited(lockout, ['address'], { ...wrong, work: async () => true })).toEqual({ result: true });
});

test('throttles count a /64 as one, and a /48 as one with more room', async () => {
  const taken: string[] = [];
  const counter = (kind: string) => ({
    take: async (key: string) => {
      taken.push(`${kind} ${key}`);
      return 0;
    },
    blockedMs: async () => 0,
  });
  const throttle = addressThrottle({ host: counter('host'), site: counter('site') });
  await throttle.take('2001:db8:1:2::3');
  await throttle.take('192.0.2.1', 'logout');
  await throttle.take('::ffff:192.0.2.1');
  expect(taken).toEqual([
    'host handshake 2001:db8:1:2::/64',
    'site handshake 2001:db8:1::/48',
    'host logout 192.0.2.1',
    'host handshake 192.0.2.1',
  ]);
});

test('the proof of an enrolment is good for its installation, its time, and as long as that waits for it', async () => {
  const { context, clock } = await scene();
  const installation = { id: '1'.repeat(32), resumeId: 'r1' } as InstallationRow;
  const proof = sealResume(context, installation, undefined);
  expect(openResume(context, installation, proof)).toMatchObject({ id: 'r1' });
  expect(openResume(context, { ...installation, id: '2'.repeat(32) }, proof)).toBeUndefined();
  expect(openResume(context, { ...installation, resumeId: null }, proof)).toBeUndefined();
  expect(openResume(context, { ...installation, resumeId: 'r2' }, proof)).toBeUndefined();
  clock.now += 6 * 60_000;
  expect(openResume(context, installation, proof)).toBeUndefined();
});

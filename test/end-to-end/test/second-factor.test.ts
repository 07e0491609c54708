import { memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import * as api from '@sallyport/security-api/admin';
import { Secret, TOTP } from 'otpauth';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { CONTEXT, Gateway, PASSWORD } from '../src/gateway.ts';

let gateway: Gateway;
beforeAll(async () => {
  gateway = await Gateway.start({ proxies: 1 });
  await gateway.addUser('ada');
});
afterAll(() => gateway.stop());

const CREDENTIALS = { user: 'ada', password: PASSWORD };

/** An authenticator app: each code is of another step of its clock, since none is good twice. */
class Authenticator {
  readonly #totp: TOTP;
  #step = 0;

  constructor(secret: string) {
    this.#totp = new TOTP({ secret: Secret.fromBase32(secret), digits: 6, period: 30, algorithm: 'SHA1' });
  }

  /** A fresh code; that of the step after now is accepted too, so there are two at once. */
  next(): string {
    const now = Math.floor(Date.now() / 30_000);
    this.#step = Math.max(this.#step + 1, now);
    return this.#totp.generate({ timestamp: this.#step * 30_000 });
  }
}

async function authenticator(user: string): Promise<Authenticator> {
  const { secret, uri } = await gateway.operator.call(api.factors.issue, { params: { name: user } });
  expect(uri).toMatch(/^otpauth:\/\/totp\/Sallyport%20main:\w+\?.*secret=[A-Z2-7]{32}/);
  return new Authenticator(secret as string);
}

async function reasons(): Promise<string[]> {
  const events = await gateway.operator.call(api.audit.list, { query: { limit: '12' } });
  return events.filter(({ outcome }) => outcome === 'refused').map(({ reason }) => reason);
}

test('a user with a second factor is asked for it, and a code is good once', async () => {
  const device = await gateway.device('ada');
  const app = await authenticator('ada');
  await expect(device.login(CREDENTIALS)).rejects.toMatchObject({ code: 'STEP_UP' });
  const code = app.next();
  const asked: number[] = [];
  const oneTimeCode = async ({ tries }: { tries: number }): Promise<string> => {
    asked.push(tries);
    return `${code.slice(0, 3)} ${code.slice(3)}`;
  };
  await device.login(CREDENTIALS, { oneTimeCode });
  expect(asked).toEqual([4]);
  expect(device.state).toBe('connected');
  // The same code again: seen, and refused until the tries are used up.
  await expect(device.login(CREDENTIALS, { oneTimeCode })).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  expect(asked).toEqual([4, 4, 3, 2, 1]);
  expect(await reasons()).toContain('the one-time code is wrong');
  device.close();
});

test('wrong codes lock out this address for a while; the password alone opens nothing', async () => {
  await gateway.addUser('bob');
  const device = await gateway.device('bob');
  const app = await authenticator('bob');
  const credentials = { user: 'bob', password: PASSWORD };
  const wrong = { oneTimeCode: async () => '000000' };
  await expect(device.login(credentials, wrong)).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  await expect(device.login(credentials, wrong)).rejects.toMatchObject({ code: 'LOCKED' });
  const late = device.login(credentials, { oneTimeCode: async () => app.next() });
  await expect(late).rejects.toMatchObject({ code: 'LOCKED' });
  expect((await reasons())[0]).toMatch(/the second factor is locked out for \d+ s/);
  device.close();
});

test('where a second factor is required, who has none is told so and does not come in', async () => {
  await gateway.addUser('carol');
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  await device.enroll(await gateway.link('carol'), { user: 'carol', password: PASSWORD });
  await gateway.operator.call(api.realm.change, { body: { secondFactor: 'required' } });
  const never = { oneTimeCode: async () => '000000' };
  await expect(device.login({ user: 'carol', password: PASSWORD }, never)).rejects.toMatchObject({ code: 'STEP_UP' });
  expect((await reasons())[0]).toBe('the user has no second factor');
  const app = await authenticator('carol');
  await device.login({ user: 'carol', password: PASSWORD }, { oneTimeCode: async () => app.next() });
  expect(device.state).toBe('connected');
  await gateway.operator.call(api.realm.change, { body: { secondFactor: 'whenEnrolled' } });
  await gateway.operator.call(api.factors.remove, { params: { name: 'carol' } });
  await device.login({ user: 'carol', password: PASSWORD });
  device.close();
});

test('right after an enrolment the password is not asked twice, but the second factor is', async () => {
  await gateway.addUser('dora');
  const app = await authenticator('dora');
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  await device.enroll(await gateway.link('dora'), { user: 'dora', password: PASSWORD });
  await expect(device.login()).rejects.toMatchObject({ code: 'STEP_UP' });
  await device.login(undefined, { oneTimeCode: async () => app.next() });
  expect(device.state).toBe('connected');
  // That proof was for once.
  await expect(device.login()).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
});

test('each reason for a refusal is in the audit log, and no secret is', async () => {
  await gateway.addUser('erna');
  const device = await gateway.device('erna');
  for (const password of ['not the password']) await device.login({ user: 'erna', password }).catch(() => undefined);
  await device.login({ user: 'ada', password: PASSWORD }).catch(() => undefined);
  await device.login().catch(() => undefined);
  const seen = await reasons();
  expect(seen).toEqual(
    expect.arrayContaining(['the password is wrong', 'the name is not the one of the user', 'no credentials']),
  );
  expect(JSON.stringify(await gateway.operator.call(api.audit.list, { query: { limit: '200' } }))).not.toContain(
    'not the password',
  );
  await gateway.operator.call(api.users.disable, { params: { name: 'erna' } });
  await expect(device.login({ user: 'erna', password: PASSWORD })).rejects.toMatchObject({ code: 'HANDSHAKE_FAILED' });
});

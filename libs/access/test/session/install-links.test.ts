import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import {
  claimInstallLink,
  disableUser,
  findInstallLink,
  issueInstallLink,
  issueOwnInstallLink,
  putApp,
  putGroup,
  putUser,
  readInstallClaim,
  sweepEnded,
} from '../../src/index.ts';
import { enrolled, withAda } from '../ada.ts';
import { BY } from '../scene.ts';

const HOUR = 3_600_000;
const WANTED = { app: 'a', user: 'ada', origin: 'https://gw' };

async function withLink() {
  const made = await withAda();
  await putGroup(made.access, 'staff', BY);
  await putUser(made.access, 'ada', { groups: ['staff'] }, BY);
  await putApp(made.access, 'a', { groups: ['staff'] }, BY);
  const { token } = await issueInstallLink(made.access, WANTED, BY);
  return { ...made, token };
}

test('a link is good once, also when many use it at the same moment; looking uses nothing up', async () => {
  const { access, token } = await withLink();
  for (let look = 0; look < 5; look++)
    expect(await findInstallLink(access, token)).toMatchObject({ app: { id: 'a' }, releases: [] });
  const claims = await Promise.all(Array.from({ length: 8 }, () => claimInstallLink(access, token)));
  const [good, ...more] = claims.filter((claim) => claim !== undefined);
  expect(more).toEqual([]);
  expect(await findInstallLink(access, token)).toBeUndefined();
  expect(await readInstallClaim(access, good!.claim)).toMatchObject({ app: { id: 'a' } });
});

test('what a link opened is good for an hour, and for so many looks', async () => {
  const { access, clock, token } = await withLink();
  const { claim } = (await claimInstallLink(access, token))!;
  for (let look = 0; look < 64; look++) expect(await readInstallClaim(access, claim)).toBeDefined();
  expect(await readInstallClaim(access, claim)).toBeUndefined();
  const other = (await claimInstallLink(access, (await issueInstallLink(access, WANTED, BY)).token))!;
  clock.now += HOUR - 1;
  expect(await readInstallClaim(access, other.claim)).toBeDefined();
  clock.now += 1;
  expect(await readInstallClaim(access, other.claim)).toBeUndefined();
});

test('a link ends after a day, with its user, and with their right to the app; what is long over is removed', async () => {
  const { access, clock, token } = await withLink();
  await putApp(access, 'a', { groups: [] }, BY);
  expect(await claimInstallLink(access, token)).toBeUndefined();
  await expect(issueInstallLink(access, WANTED, BY)).rejects.toThrow('no app a that ada may have');
  await putApp(access, 'a', { groups: ['staff'] }, BY);
  const { claim } = (await claimInstallLink(access, token))!;
  const { token: late } = await issueInstallLink(access, WANTED, BY);
  clock.now += 24 * HOUR;
  expect(await findInstallLink(access, late)).toBeUndefined();
  expect(await claimInstallLink(access, late)).toBeUndefined();
  const { token: again } = await issueInstallLink(access, WANTED, BY);
  await disableUser(access, 'ada', 'f'.repeat(32), BY);
  expect(await readInstallClaim(access, claim)).toBeUndefined();
  expect(await claimInstallLink(access, again)).toBeUndefined();
  await expect(issueInstallLink(access, WANTED, BY)).rejects.toThrow('no enabled user ada');
  clock.now += 365 * 24 * HOUR;
  await sweepEnded(access);
  expect(await access.store.transaction(({ tables }) => tables.installLinks.count())).toBe(0);
});

test('tokens that somebody made up, or of another kind, open nothing', async () => {
  const { access, token } = await withLink();
  const made = `spi_${randomBytes(56).toString('base64url')}`;
  for (const text of [made, token.replace('spi_', 'spc_'), `${token}A`, ''])
    expect([await findInstallLink(access, text), await claimInstallLink(access, text)]).toEqual([undefined, undefined]);
  expect(await readInstallClaim(access, token)).toBeUndefined();
});

test('a device makes links for its own user, and no more than are used', async () => {
  const { access } = await withLink();
  const { id: installationId, userId } = await enrolled(access);
  const asker = { userId, installationId };
  const wanted = { app: 'a', origin: 'https://gw' };
  await expect(issueOwnInstallLink(access, asker, { ...wanted, app: 'other' })).rejects.toThrow('no app other');
  const tokens: string[] = [];
  for (let i = 0; i < 15; i++) tokens.push((await issueOwnInstallLink(access, asker, wanted)).token);
  await expect(issueOwnInstallLink(access, asker, wanted)).rejects.toThrow('were not used yet');
  expect(await claimInstallLink(access, tokens[0]!)).toBeDefined();
  await issueOwnInstallLink(access, asker, wanted);
});

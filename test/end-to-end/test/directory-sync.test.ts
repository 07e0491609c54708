import type { User } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { inTime } from '@sallyport/support';
import { Attribute, Change, type Client } from 'ldapts';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { directoryOf, ldapInput, settled, sync, userNamed } from '../src/directory/operate.ts';
import { adTree, dnOf, groupDn, guidOf, loginOf, standardTree } from '../src/directory/people.ts';
import { RealLdap, SUFFIX } from '../src/directory/slapd.ts';
import { Gateway } from '../src/gateway.ts';

const MANY = 10_000;
let gateway: Gateway;
const opened: RealLdap[] = [];

beforeAll(async () => {
  gateway = await Gateway.start({ proxies: 1 });
});
afterAll(async () => {
  await gateway.stop();
  for (const ldap of opened) await ldap.stop();
});

async function start(entries: Parameters<typeof RealLdap.start>[0]): Promise<RealLdap> {
  const ldap = await RealLdap.start(entries);
  opened.push(ldap);
  return ldap;
}

const userOf = (name: string): Promise<User | undefined> => userNamed(gateway.operator, name);

test('Security killed in the middle of the first sync of 10,000 users: the next one goes on where it was', async () => {
  const ldap = await start(standardTree(MANY));
  await gateway.operator.call(api.directories.put, { params: { name: 'corp' }, body: ldapInput(ldap) });
  let before = 0;
  for (let accounts = 0; accounts < MANY / 4; ) {
    ({ accounts } = await directoryOf(gateway.operator, 'corp'));
    before = accounts;
  }
  await gateway.restartSecurity('SIGKILL');
  const { report, accounts, users } = await settled(gateway.operator, 'corp');
  expect(before).toBeLessThan(MANY);
  expect(report!.created).toBeLessThanOrEqual(MANY - before);
  expect(report!.created).toBeGreaterThan(0);
  expect({ accounts, users }).toEqual({ accounts: MANY, users: MANY });
  const view = (await gateway.operator.call(api.users.rights, { params: { name: loginOf(MANY - 1) } })) as {
    groups: { group: string }[];
  };
  expect(view.groups.map(({ group }) => group)).toContain('all@corp');
  const { report: next } = await sync(gateway.operator, 'corp');
  expect(next).toMatchObject({ mode: 'incremental', created: 0, changed: 0, joined: 0, removed: 0 });
});

describe('Active Directory', () => {
  const COUNT = 120;
  let ad: RealLdap;
  let root: Client;
  let usn = 1_000_000;

  /** A change as Active Directory makes it: the entry's uSNChanged counts up with it. */
  async function change(dn: string, changes: Record<string, string | readonly string[]>): Promise<void> {
    const all = { ...changes, uSNChanged: String(usn++) };
    const modifications = Object.entries(all).map(
      ([type, values]) =>
        new Change({
          operation: 'replace',
          modification: new Attribute({ type, values: [values].flat() as string[] }),
        }),
    );
    await root.modify(dn, modifications);
  }

  beforeAll(async () => {
    ad = await start(adTree(COUNT));
    root = await ad.root();
    await gateway.operator.call(api.directories.put, {
      params: { name: 'ad' },
      body: ldapInput(ad, { flavour: 'ad', suffix: '-ad' }),
    });
    await settled(gateway.operator, 'ad');
  });
  afterAll(() => root.unbind());

  test('ids are GUIDs as people write them, computers are no users', async () => {
    const guid = guidOf('computer');
    await root.add(`cn=pc1,ou=people,${SUFFIX}`, {
      objectClass: ['computer'],
      cn: 'pc1',
      sn: 'pc1',
      sAMAccountName: 'pc1$',
      uSNChanged: String(usn++),
      objectGUID: guid as unknown as string,
    });
    const { accounts, report } = await sync(gateway.operator, 'ad');
    expect(report).toMatchObject({ mode: 'incremental' });
    expect(accounts).toBe(COUNT);
    const groups = await gateway.operator.call(api.directories.groups, { params: { name: 'ad' } });
    const all = groups.find(({ name }) => name === 'all')!;
    expect(all.accounts).toBe(COUNT);
    expect(all.subject).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  });

  test('disabled and expired accounts are out, by the bits that say so', async () => {
    const yesterday = (BigInt(Date.now() - 86_400_000) + 11_644_473_600_000n) * 10_000n;
    await change(dnOf(1, 'cn'), { userAccountControl: '514' });
    await change(dnOf(2, 'cn'), { accountExpires: String(yesterday) });
    await change(dnOf(3, 'cn'), { accountExpires: '0', displayName: 'Never Ends' });
    await change(dnOf(4, 'cn'), { userAccountControl: '66048' });
    const { report } = await sync(gateway.operator, 'ad');
    expect(report).toMatchObject({ mode: 'incremental', disabled: 2 });
    for (const i of [1, 2]) expect((await userOf(`${loginOf(i)}-ad`))?.enabled, loginOf(i)).toBe(false);
    for (const i of [3, 4]) expect((await userOf(`${loginOf(i)}-ad`))?.enabled, loginOf(i)).toBe(true);
    expect((await userOf(`${loginOf(3)}-ad`))?.displayName).toBe('Never Ends');
  });

  test('an account that expires later is out when its time comes, though nothing changes there', async () => {
    const end = await inTime(1_500, async (ms) => {
      const at = Date.now() + ms;
      const soon = (BigInt(at) + 11_644_473_600_000n) * 10_000n;
      await change(dnOf(5, 'cn'), { accountExpires: String(soon) });
      await sync(gateway.operator, 'ad');
      const isIn = (await userOf(`${loginOf(5)}-ad`))?.enabled;
      return Date.now() < at ? { at, isIn } : undefined;
    });
    expect(end.isIn).toBe(true);
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, end.at - Date.now()) + 100));
    const { report } = await sync(gateway.operator, 'ad');
    expect(report).toMatchObject({ read: 0, disabled: 1 });
    expect((await userOf(`${loginOf(5)}-ad`))?.enabled).toBe(false);
  });

  test('renames, moves between groups and new members in nested groups arrive', async () => {
    await change(dnOf(6, 'cn'), { sAMAccountName: 'married' });
    const [kept, moved] = [Array.from({ length: 49 }, (_, i) => dnOf(51 + i, 'cn')), dnOf(50, 'cn')];
    await change(groupDn('team-1'), { member: kept });
    await change(groupDn('team-2'), { member: [...Array.from({ length: 20 }, (_, i) => dnOf(100 + i, 'cn')), moved] });
    await sync(gateway.operator, 'ad');
    expect((await userOf('married-ad'))?.displayName).toBe('Person 6');
    expect(await userOf(`${loginOf(6)}-ad`)).toBeUndefined();
    expect([...(await userOf(`${loginOf(50)}-ad`))!.groups].sort()).toEqual(['all@ad', 'department-0@ad', 'team-2@ad']);
  });

  test('groups that contain each other end nowhere but in the same people', async () => {
    await change(groupDn('team-0'), {
      member: [dnOf(7, 'cn'), ...Array.from({ length: 40 }, (_, i) => dnOf(8 + i, 'cn')), groupDn('all')],
    });
    const { trouble } = await sync(gateway.operator, 'ad');
    expect(trouble).toBeNull();
    const rights = (await gateway.operator.call(api.users.rights, { params: { name: `${loginOf(110)}-ad` } })) as {
      groups: { group: string }[];
    };
    expect(rights.groups.map(({ group }) => group).sort()).toEqual([
      'all@ad',
      'department-0@ad',
      'team-0@ad',
      'team-2@ad',
    ]);
  });
});

import { existsSync, readFileSync } from 'node:fs';
import { formatLink, parseLink } from '@sallyport/channel';
import { memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import { LdapConnector } from '@sallyport/directory';
import type { User } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { Attribute, Change, type Client } from 'ldapts';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Backend, startBackend } from '../src/backend.ts';
import { HOSTILE_FILTERS } from '../src/directory/hostile.ts';
import { directoryOf, lastRefusal, ldapInput, settled, sync, userNamed } from '../src/directory/operate.ts';
import { dnOf, groupDn, loginOf, PERSON_PASSWORD, standardTree } from '../src/directory/people.ts';
import { LOCKING_POLICY, READER_PASSWORD, RealLdap, SUFFIX } from '../src/directory/slapd.ts';
import { CONTEXT, Gateway } from '../src/gateway.ts';
import { keptBySecurity } from '../src/kept-files.ts';

const COUNT = 200;
let ldap: RealLdap;
let root: Client;
let gateway: Gateway;
let backend: Backend;

beforeAll(async () => {
  ldap = await RealLdap.start(standardTree(COUNT));
  root = await ldap.root();
  backend = await startBackend();
  gateway = await Gateway.start({ proxies: 1 });
});
afterAll(async () => {
  await root.unbind();
  await gateway.stop();
  await ldap.stop();
  await backend.close();
});

const userOf = (name: string): Promise<User | undefined> => userNamed(gateway.operator, name);

function replace(dn: string, type: string, ...values: string[]): Promise<void> {
  return root.modify(dn, new Change({ operation: 'replace', modification: new Attribute({ type, values }) }));
}

function member(operation: 'add' | 'delete', group: string, dn: string): Promise<void> {
  const modification = new Attribute({ type: 'member', values: [dn] });
  return root.modify(groupDn(group), new Change({ operation, modification }));
}

async function findings(settings: object): Promise<{ check: string; ok: boolean; words: string }[]> {
  await gateway.operator.call(api.directories.put, {
    params: { name: 'tried' },
    body: { ...ldapInput(ldap, settings), stage: 'staged' },
  });
  return await gateway.operator.call(api.directories.test, { params: { name: 'tried' } });
}

test('test connection says in words what is wrong', async () => {
  expect((await findings({})).map(({ ok }) => ok)).toEqual([true, true, true]);
  expect((await findings({ servers: [ldap.plainUrl] })).map(({ ok }) => ok)).toEqual([true, true, true]);
  const wrong = async (settings: object): Promise<string> =>
    (await findings(settings)).find(({ ok }) => !ok)?.words ?? 'all is well';
  expect(await wrong({ servers: ['ldaps://127.0.0.1:9'] })).toContain('nothing listens there');
  expect(await wrong({ ca: undefined })).toMatch(/CA of the certificate is not known/);
  expect(await wrong({ servers: [`ldaps://localhost:${ldap.port}`] })).toContain('for another name');
  expect(await wrong({ bindDn: `cn=nobody,${SUFFIX}` })).toContain('refused');
  expect(await wrong({ userFilter: '(objectClass=printer)' })).toContain('nobody fits');
  expect(await wrong({ attributes: { login: 'sAMAccountName' } })).toContain('have no entryUUID or no sAMAccountName');
  expect(await wrong({ groupFilter: '(objectClass=printer)' })).toContain('nobody would get any rights');
  await expect(findings({ userFilter: '(uid=*' })).rejects.toMatchObject({ status: 422 });
  await expect(findings({ servers: ['http://127.0.0.1'] })).rejects.toMatchObject({ status: 400 });
  await gateway.operator.call(api.directories.remove, { params: { name: 'tried' } });
});

test('no answer of the API ever holds the password to bind with', async () => {
  await gateway.operator.call(api.directories.put, { params: { name: 'corp' }, body: ldapInput(ldap) });
  const text = JSON.stringify(await directoryOf(gateway.operator, 'corp'));
  expect(text).not.toContain('reads the tree');
  expect(text).not.toContain('bindPassword');
});

test('the first sync brings everybody with their groups, through groups in groups', async () => {
  const view = await settled(gateway.operator, 'corp');
  expect(view.trouble).toBeNull();
  expect(view.report).toMatchObject({ mode: 'full', read: COUNT, created: COUNT, removed: 0 });
  expect(view).toMatchObject({ accounts: COUNT, users: COUNT, groups: 6 });
  const user = (await userOf(loginOf(60)))!;
  expect(user.displayName).toBe('Person 60');
  expect([...user.groups].sort()).toEqual(['all@corp', 'department-0@corp', 'team-1@corp']);
});

test('a sync with nothing to do writes nothing', async () => {
  const { report } = await sync(gateway.operator, 'corp');
  expect(report).toMatchObject({ mode: 'incremental', created: 0, changed: 0, removed: 0, joined: 0, left: 0 });
});

test('adds, changes, renames, moves, disables and deletes each arrive', async () => {
  const before = (await userOf(loginOf(1)))!;
  await root.add(`uid=new,ou=people,${SUFFIX}`, {
    objectClass: ['inetOrgPerson'],
    uid: 'new',
    cn: 'New One',
    sn: 'One',
  });
  await member('add', 'team-0', `uid=new,ou=people,${SUFFIX}`);
  await replace(dnOf(2), 'cn', 'Changed Name');
  // Renamed at the source: the same entry under another name.
  await root.modifyDN(dnOf(1), `uid=renamed,ou=people,${SUFFIX}`);
  await member('delete', 'team-0', dnOf(1));
  await member('add', 'team-0', `uid=renamed,ou=people,${SUFFIX}`);
  await root.del(dnOf(3));
  await replace(dnOf(4), 'shadowExpire', '1');
  await root.modifyDN(dnOf(5), `uid=${loginOf(5)},ou=left,${SUFFIX}`);
  await member('delete', 'team-3', dnOf(160));
  const { report, question } = await sync(gateway.operator, 'corp');
  expect(question).toBeNull();
  expect(report).toMatchObject({ mode: 'incremental', created: 1, disabled: 1, removed: 2 });
  expect((await userOf('new'))?.groups).toContain('all@corp');
  expect((await userOf(loginOf(2)))?.displayName).toBe('Changed Name');
  const renamed = (await userOf('renamed'))!;
  expect(renamed.id).toBe(before.id);
  expect(renamed.groups).toEqual(before.groups);
  expect(await userOf(loginOf(1))).toBeUndefined();
  for (const i of [3, 4, 5]) expect((await userOf(loginOf(i)))?.enabled, loginOf(i)).toBe(false);
  expect((await userOf(loginOf(160)))?.groups).toEqual([]);
  const audit = JSON.stringify(await gateway.operator.call(api.audit.list, { query: { limit: '50' } }));
  expect(audit).toContain('corp: the account is gone');
  expect(audit).toContain(`${loginOf(160)} from all@corp`);
});

test('who comes back is let in again, and what an operator disabled stays so', async () => {
  await gateway.operator.call(api.users.disable, { params: { name: loginOf(7) } });
  await replace(dnOf(7), 'cn', 'Touched');
  await replace(dnOf(4), 'shadowExpire', '99999');
  const { report } = await sync(gateway.operator, 'corp');
  expect(report).toMatchObject({ enabled: 1 });
  expect((await userOf(loginOf(4)))?.enabled).toBe(true);
  expect((await userOf(loginOf(7)))?.enabled).toBe(false);
  await replace(dnOf(8), 'shadowExpire', '1');
  await sync(gateway.operator, 'corp');
  await expect(gateway.operator.call(api.users.enable, { params: { name: loginOf(8) } })).rejects.toMatchObject({
    status: 422,
  });
});

test('a directory that lies takes nobody: more than 5 % gone is a question, and an answer lets them go', async () => {
  const gone = Array.from({ length: 40 }, (_, i) => 100 + i);
  for (const i of gone) await root.modifyDN(dnOf(i), `uid=${loginOf(i)},ou=left,${SUFFIX}`);
  const asked = await sync(gateway.operator, 'corp');
  expect(asked.question).toMatchObject({ what: 'users', count: 40 });
  expect(asked.report).toMatchObject({ held: 40, removed: 0 });
  expect((await userOf(loginOf(100)))?.enabled).toBe(true);
  const { degraded } = await gateway.operator.call(api.status.get);
  expect(degraded.join('\n')).toContain('directory corp would remove 40 of');
  // A new one arrives meanwhile, and the question stays.
  await replace(dnOf(20), 'cn', 'Still Synced');
  const again = await sync(gateway.operator, 'corp');
  expect(again.question).toMatchObject({ count: 40 });
  expect((await userOf(loginOf(20)))?.displayName).toBe('Still Synced');
  const wrong = await sync(gateway.operator, 'corp', { confirm: 'no-such-question' });
  expect(wrong.question).toMatchObject({ count: 40 });
  // They are back: nothing was lost, nobody enrols again.
  for (const i of gone.slice(0, 20)) await root.modifyDN(`uid=${loginOf(i)},ou=left,${SUFFIX}`, dnOf(i));
  const { question } = await sync(gateway.operator, 'corp');
  expect(question).toMatchObject({ count: 20 });
  const done = await sync(gateway.operator, 'corp', { confirm: question!.id });
  expect(done.question).toBeNull();
  expect(done.report).toMatchObject({ removed: 20 });
  expect((await userOf(loginOf(100)))?.enabled).toBe(true);
  expect((await userOf(loginOf(139)))?.enabled).toBe(false);
  const audit = JSON.stringify(await gateway.operator.call(api.audit.list, { query: { limit: '100' } }));
  expect(audit).toContain(`corp, removals of question ${question!.id} are meant`);
});

test('a group that lost most of its members is a question too', async () => {
  const kept = Array.from({ length: 5 }, (_, i) => dnOf(50 + i));
  await replace(groupDn('team-1'), 'member', ...kept);
  const asked = await sync(gateway.operator, 'corp');
  expect(asked.question).toMatchObject({ what: 'memberships', count: 45 });
  expect((await userOf(loginOf(70)))?.groups).toContain('team-1@corp');
  await sync(gateway.operator, 'corp', { confirm: asked.question!.id });
  expect((await userOf(loginOf(70)))?.groups).toEqual([]);
});

test('a group of the directory opens what a policy names, and rights say why', async () => {
  const { operator } = gateway;
  const wiki = {
    kind: 'http' as const,
    authority: 'wiki.corp',
    backend: { url: backend.url, networks: ['127.0.0.0/8'] },
  };
  await operator.call(api.resources.put, { params: { name: 'wiki' }, body: wiki });
  await operator.call(api.policies.put, {
    params: { name: 'wiki' },
    body: { groups: ['department-0@corp'], resources: ['wiki'], context: {} },
  });
  type Rights = { groups: { by: string }[]; resources: { allowed: boolean; words: string }[] };
  const rights = async (name: string): Promise<Rights> => await operator.call(api.users.rights, { params: { name } });
  expect((await rights(loginOf(10))).resources[0]).toMatchObject({
    allowed: true,
    words: 'wiki opens it for department-0@corp',
  });
  expect((await rights(loginOf(10))).groups.map(({ by }) => by)).toContain('corp: department-0');
  expect((await rights(loginOf(70))).resources[0]).toMatchObject({
    allowed: false,
    words: 'wiki would, for department-0@corp',
  });
  expect((await rights(loginOf(3))).resources[0]).toMatchObject({
    allowed: false,
    words: 'corp says that the user is out',
  });
});

async function enrolled(i: number, password = PERSON_PASSWORD) {
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  await device.enroll(await gateway.link(loginOf(i)), { user: loginOf(i).toUpperCase(), password });
  return device;
}

test('users sign in with the password that the directory checks; empty ones and NUL never reach it', async () => {
  const device = await enrolled(10);
  await device.login({ user: loginOf(10), password: PERSON_PASSWORD });
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  for (const password of ['', '\0', `${PERSON_PASSWORD}\0`, 'wrong']) {
    await expect(device.login({ user: loginOf(10), password })).rejects.toMatchObject({ code: 'CREDENTIALS_INVALID' });
  }
  expect(await lastRefusal(gateway.operator)).toBe('the directory says that the password is wrong');
  await expect(device.login({ user: loginOf(11), password: PERSON_PASSWORD })).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
  });
  expect(await lastRefusal(gateway.operator)).toBe('the name is not the one of the user');
  await expect(device.login({ user: loginOf(10), password: PERSON_PASSWORD })).rejects.toMatchObject({
    code: 'LOCKED',
  });
  device.close();
});

test('a directory that is down or frozen takes nobody: sessions go on, sign-ins wait, the status says so', async () => {
  const device = await enrolled(12);
  await device.login({ user: loginOf(12), password: PERSON_PASSWORD });
  const other = await enrolled(13);
  await ldap.kill();
  const view = await sync(gateway.operator, 'corp');
  expect(view.trouble).toContain('nothing listens there');
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  await expect(other.login({ user: loginOf(13), password: PERSON_PASSWORD })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  });
  const { degraded } = await gateway.operator.call(api.status.get);
  expect(degraded.join('\n')).toContain('directory corp does not work since');
  await ldap.restart();
  await root.unbind();
  root = await ldap.root();
  expect((await sync(gateway.operator, 'corp')).trouble).toBeNull();
  await other.login({ user: loginOf(13), password: PERSON_PASSWORD });
  ldap.freeze();
  const started = await gateway.operator.call(api.directories.sync, { params: { name: 'corp' }, body: {} });
  expect(started.done).toBe(true);
  expect((await device.fetch('http://wiki.corp/echo')).status).toBe(200);
  ldap.thaw();
  expect((await settled(gateway.operator, 'corp')).trouble).toBeNull();
  expect((await userOf(loginOf(12)))?.enabled).toBe(true);
  device.close();
  other.close();
});

test('when one of several servers is down the next one is asked', async () => {
  const settings = { servers: ['ldaps://127.0.0.1:9', ldap.url] };
  await gateway.operator.call(api.directories.put, { params: { name: 'corp' }, body: ldapInput(ldap, settings) });
  const { report, trouble } = await sync(gateway.operator, 'corp');
  expect(trouble).toBeNull();
  expect(report?.server).toBe(ldap.url);
});

test('a leaver is out: the sync ends their session and their open channel', async () => {
  const device = await enrolled(14);
  await device.login({ user: loginOf(14), password: PERSON_PASSWORD });
  const ended = new Promise((resolve) => device.on('ended', ({ code }) => resolve(code)));
  await root.del(dnOf(14));
  await sync(gateway.operator, 'corp');
  expect(await ended).toBe('REVOKED');
  device.close();
});

test('a wrong activation code tells nothing of the password, and the directory is not asked', async () => {
  const link = new URL(await gateway.link(loginOf(15)));
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  const wrongCode = formatLink(link.origin + link.pathname, {
    ...parseLink(link.href),
    code: `${parseLink(link.href).code.split('-')[0]}-0000000000000000`,
  });
  for (const password of [PERSON_PASSWORD, 'wrong'])
    await expect(device.enroll(wrongCode, { user: loginOf(15), password })).rejects.toMatchObject({
      code: 'CODE_INVALID',
    });
  await device.enroll(link.href, { user: loginOf(15), password: PERSON_PASSWORD });
});

test('hostile ids and names find nobody in the directory', async () => {
  const list = new URL('../../../../shared/corpora/ldap/LDAP_FUZZ.txt', import.meta.url);
  if (!existsSync(list)) console.log(`the folder of third-party data is missing: ${list.pathname} is not tried`);
  const more = existsSync(list) ? readFileSync(list, 'utf8').split('\n').filter(Boolean) : [];
  const { settings, secrets = { bindPassword: '' } } = ldapInput(ldap);
  const connector = new LdapConnector(settings, secrets);
  for (const line of [...HOSTILE_FILTERS, ...more]) {
    expect(await connector.checkPassword(line, PERSON_PASSWORD), line).toBe('wrong');
    expect(await connector.checkPassword(dnOf(16), line), line).toBe('wrong');
  }
});

test('two entries whose names differ by a space are two people; logins and uids of posixGroup find them', async () => {
  const people: [string, string, string][] = [
    ['cn=Doe\\, Ann', 'ann', 'Doe, Ann'],
    ['cn=Doe\\,Ann', 'ann2', 'Doe,Ann'],
    ['cn=\\23Ann\\2BBob+uid=ann3', 'ann3', '#Ann+Bob'],
  ];
  for (const [rdn, uid, cn] of people)
    await root.add(`${rdn},ou=people,${SUFFIX}`, { objectClass: ['inetOrgPerson'], uid, cn, sn: 'Ann' });
  await root.add(groupDn('secret-ann'), {
    objectClass: ['groupOfNames'],
    cn: 'secret-ann',
    member: [`CN=Doe\\2C Ann, OU=People,${SUFFIX}`, `UID=ann3 + CN=\\#Ann\\+Bob,ou=people,${SUFFIX}`],
  });
  await root.add(groupDn('unix'), {
    objectClass: ['posixGroup'],
    cn: 'unix',
    gidNumber: '7',
    memberUid: ['ann2', 'nobody'],
  });
  const view = await sync(gateway.operator, 'corp');
  expect([view.trouble, view.report?.unreadable]).toEqual([null, 0]);
  expect((await userOf('ann'))!.groups).toEqual(['secret-ann@corp']);
  expect((await userOf('ann2'))!.groups).toEqual(['unix@corp']);
  expect((await userOf('ann3'))!.groups).toEqual(['secret-ann@corp']);
});

test('the primary group of a person is a membership, changes with them, and follows from no number that two groups have', async () => {
  const person = (uid: string, gidNumber: string): Promise<void> =>
    root.add(`uid=${uid},ou=people,${SUFFIX}`, {
      objectClass: ['inetOrgPerson', 'posixAccount'],
      ...{ uid, cn: uid, sn: uid, uidNumber: '1000', gidNumber, homeDirectory: '/' },
    });
  const unixGroup = (cn: string, gidNumber: string): Promise<void> =>
    root.add(groupDn(cn), { objectClass: ['posixGroup'], cn, gidNumber });
  for (const [cn, number] of [
    ['crew', '20'],
    ['guests', '21'],
    ['twin-a', '22'],
    ['twin-b', '22'],
  ] as const)
    await unixGroup(cn, number);
  for (const [uid, number] of [
    ['pia', '20'],
    ['pit', '22'],
    ['pam', '99'],
  ] as const)
    await person(uid, number);
  await sync(gateway.operator, 'corp');
  const groupsOf = async (name: string): Promise<string[]> => [...(await userOf(name))!.groups];
  expect(await groupsOf('pia')).toEqual(['crew@corp']);
  expect(await groupsOf('pit')).toEqual([]);
  expect(await groupsOf('pam')).toEqual([]);
  // Only the person changes, and the next sync reads only what changed.
  await replace(`uid=pia,ou=people,${SUFFIX}`, 'gidNumber', '21');
  expect((await sync(gateway.operator, 'corp')).report).toMatchObject({ mode: 'incremental', joined: 1, left: 1 });
  expect(await groupsOf('pia')).toEqual(['guests@corp']);
  await root.del(groupDn('twin-b'));
  await sync(gateway.operator, 'corp');
  expect(await groupsOf('pit')).toEqual(['twin-a@corp']);
});

test('whoever guesses passwords at a server with a password policy dismisses nobody, an administrator who locks does', async () => {
  const connector = new LdapConnector(ldapInput(ldap).settings, {
    bindPassword: READER_PASSWORD,
  });
  const login = loginOf(17);
  const [entry] = await lockOf(dnOf(17));
  const subject = String(entry!['entryUUID']);
  await replace(dnOf(17), 'pwdPolicySubentry', LOCKING_POLICY);
  expect(await connector.checkPassword(subject, PERSON_PASSWORD)).toBe('right');
  for (let i = 0; i < 3; i++) expect(await connector.checkPassword(subject, 'a guess')).toBe('wrong');
  expect(await connector.checkPassword(subject, PERSON_PASSWORD)).toBe('wrong');
  const [locked] = await lockOf(dnOf(17));
  expect(locked!['pwdAccountLockedTime']).toMatch(/^2\d{13}Z$/);
  await replace(dnOf(17), 'cn', 'Locked Out');
  expect((await sync(gateway.operator, 'corp')).report).toMatchObject({ changed: 1, disabled: 0, removed: 0 });
  expect(await userOf(login)).toMatchObject({ enabled: true, displayName: 'Locked Out' });
  await replace(dnOf(17), 'pwdAccountLockedTime', '000001010000Z');
  expect((await sync(gateway.operator, 'corp')).report).toMatchObject({ disabled: 1 });
  expect(await userOf(login)).toMatchObject({ enabled: false });
  expect(await connector.checkPassword(subject, PERSON_PASSWORD)).toBe('disabled');
  await replace(dnOf(17), 'pwdAccountLockedTime');
  expect((await sync(gateway.operator, 'corp')).report).toMatchObject({ enabled: 1 });
  expect(await connector.checkPassword(subject, PERSON_PASSWORD)).toBe('right');
});

async function lockOf(dn: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const attributes = ['entryUUID', 'pwdAccountLockedTime'];
  return (await root.search(dn, { scope: 'base', attributes })).searchEntries;
}

test('logins that two people swap between two syncs follow them, and who was deleted can come again', async () => {
  const [a, b] = [(await userOf(loginOf(20)))!, (await userOf(loginOf(21)))!];
  await root.modifyDN(dnOf(20), `uid=swapping,ou=people,${SUFFIX}`);
  await root.modifyDN(dnOf(21), dnOf(20));
  await root.modifyDN(`uid=swapping,ou=people,${SUFFIX}`, dnOf(21));
  expect((await sync(gateway.operator, 'corp')).conflicts).toEqual([]);
  expect([(await userOf(loginOf(20)))!.id, (await userOf(loginOf(21)))!.id]).toEqual([b.id, a.id]);
  const entry = { objectClass: ['inetOrgPerson'], uid: 'again', cn: 'Again', sn: 'A' };
  await root.add(`uid=again,ou=people,${SUFFIX}`, entry);
  await sync(gateway.operator, 'corp');
  const { id } = (await userOf('again'))!;
  await root.del(`uid=again,ou=people,${SUFFIX}`);
  await sync(gateway.operator, 'corp');
  expect(await userOf('again')).toMatchObject({ enabled: false });
  await root.add(`uid=again,ou=people,${SUFFIX}`, entry);
  expect((await sync(gateway.operator, 'corp')).conflicts).toEqual([]);
  expect(await userOf('again')).toMatchObject({ id, enabled: true });
});

test('a directory whose entries cannot be read is not well, and nobody is gone for it', async () => {
  const input = ldapInput(ldap, { attributes: { login: 'telephoneNumber' } });
  await gateway.operator.call(api.directories.put, { params: { name: 'mute' }, body: input });
  const view = await settled(gateway.operator, 'mute');
  expect(view).toMatchObject({ users: 0, trouble: null, question: null });
  expect(view.report!.unreadable).toBeGreaterThan(100);
  expect((await sync(gateway.operator, 'mute')).report!.unreadable).toBeGreaterThan(100);
  const { degraded } = await gateway.operator.call(api.status.get);
  expect(degraded.join('\n')).toMatch(/directory mute has \d+ entries without an id or a login/);
  await gateway.operator.call(api.directories.remove, { params: { name: 'mute' } });
});

test('a name that somebody else has is a conflict, never a match', async () => {
  await gateway.operator.call(api.users.put, {
    params: { name: 'eve' },
    body: { password: 'local and her own', groups: [] },
  });
  const before = await userOf('eve');
  await root.add(`uid=eve,ou=people,${SUFFIX}`, {
    objectClass: ['inetOrgPerson'],
    uid: 'eve',
    cn: 'Other Eve',
    sn: 'Eve',
  });
  const view = await sync(gateway.operator, 'corp');
  expect(view.conflicts).toEqual([
    expect.objectContaining({ login: 'eve', why: 'the name eve is taken by another user' }),
  ]);
  expect(await userOf('eve')).toEqual(before);
  // It stays known, though the next sync has nothing to say of it.
  expect((await sync(gateway.operator, 'corp')).conflicts).toHaveLength(1);
  await gateway.operator.call(api.directories.put, {
    params: { name: 'corp' },
    body: ldapInput(ldap, { suffix: '-corp' }),
  });
  await sync(gateway.operator, 'corp', { mode: 'full' });
  expect((await userOf('eve-corp'))?.displayName).toBe('Other Eve');
  expect((await directoryOf(gateway.operator, 'corp')).conflicts).toEqual([]);
});

test('neither the password to bind with nor that of anybody stands anywhere in database or logs', () => {
  const contents = keptBySecurity(gateway);
  expect(contents.some((content) => content.includes('department-0@corp'))).toBe(true);
  for (const secret of [READER_PASSWORD, PERSON_PASSWORD])
    expect(
      contents.some((content) => content.includes(secret)),
      secret,
    ).toBe(false);
});

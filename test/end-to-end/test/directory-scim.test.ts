import { existsSync, readFileSync } from 'node:fs';
import { memoryStorage } from '@sallyport/device';
import { openDevice } from '@sallyport/device/node';
import type { User } from '@sallyport/security-api';
import * as api from '@sallyport/security-api/admin';
import { freePort } from '@sallyport/support';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { HOSTILE_FILTERS } from '../src/directory/hostile.ts';
import { userNamed } from '../src/directory/operate.ts';
import { entraUser, ScimClient } from '../src/directory/scim-client.ts';
import { CONTEXT, Gateway } from '../src/gateway.ts';

const ERROR = 'urn:ietf:params:scim:api:messages:2.0:Error';
const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
let gateway: Gateway;
let client: ScimClient;

beforeAll(async () => {
  gateway = await Gateway.start({
    proxies: 1,
    environment: { SALLYPORT_DIRECTORY_LISTEN: `127.0.0.1:${await freePort()}` },
  });
  await gateway.operator.call(api.directories.put, {
    params: { name: 'entra' },
    body: { kind: 'scim', stage: 'active', settings: {} },
  });
  const { token, url } = await gateway.operator.call(api.directories.token, { params: { name: 'entra' }, body: {} });
  client = new ScimClient(url as string, gateway.security.ready.ca!, token as string);
});
afterAll(async () => {
  await client.close();
  await gateway.stop();
});

async function created(login: string, over: object = {}): Promise<string> {
  const { status, body } = await client.call('POST', '/Users', entraUser(login, over));
  expect(status).toBe(201);
  return body['id'] as string;
}

async function group(displayName: string, members: readonly string[] = []): Promise<string> {
  const { status, body } = await client.call('POST', '/Groups', {
    schemas: ['urn:ietf:params:scim:schemas:core:2.0:Group'],
    externalId: `gid-${displayName}`,
    displayName,
    members: members.map((value) => ({ value })),
  });
  expect(status).toBe(201);
  return body['id'] as string;
}

const userOf = (name: string): Promise<User | undefined> => userNamed(gateway.operator, name);

test('who has no token learns nothing, and a broken body is not even read', async () => {
  const { token } = client;
  for (const bad of ['', 'wrong', `${token}x`]) {
    client.token = bad;
    const answer = await client.call('POST', '/Users', '{"broken');
    expect(answer).toMatchObject({ status: 401, body: { schemas: [ERROR], status: '401' } });
  }
  client.token = token;
  expect((await client.call('POST', '/Users', '{"broken')).status).toBe(400);
});

test('a token is rotated without downtime: the one before goes on, unless it is to end now', async () => {
  const { operator } = gateway;
  const before = client.token;
  const { token } = await operator.call(api.directories.token, { params: { name: 'entra' }, body: {} });
  expect((await client.call('GET', '/Users')).status).toBe(200);
  client.token = token as string;
  expect((await client.call('GET', '/Users')).status).toBe(200);
  const { token: last } = await operator.call(api.directories.token, {
    params: { name: 'entra' },
    body: { endOthers: true },
  });
  expect((await client.call('GET', '/Users')).status).toBe(401);
  client.token = before;
  expect((await client.call('GET', '/Users')).status).toBe(401);
  client.token = last as string;
  expect((await client.call('GET', '/Users')).status).toBe(200);
});

test('the server says what it can do', async () => {
  const { body } = await client.call('GET', '/ServiceProviderConfig');
  expect(body).toMatchObject({ patch: { supported: true }, filter: { supported: true }, bulk: { supported: false } });
  expect((await client.call('GET', '/ResourceTypes')).body).toMatchObject({ totalResults: 2 });
  const schemas = (await client.call('GET', '/Schemas')).body['Resources'] as { id: string }[];
  expect(schemas.map(({ id }) => id)).toContain(ENTERPRISE);
  expect((await client.call('GET', `/Schemas/${ENTERPRISE}`)).status).toBe(200);
  expect((await client.call('GET', '/Schemas/urn:nothing')).status).toBe(404);
});

test('Entra ID: asks for a user who is not there, creates, reads, finds', async () => {
  const nobody = await client.call('GET', `/Users?filter=${encodeURIComponent('userName eq "ada@corp.example"')}`);
  expect(nobody).toMatchObject({ status: 200, body: { totalResults: 0, Resources: [] } });
  const { status, body, headers } = await client.call('POST', '/Users', entraUser('ada'));
  expect(status).toBe(201);
  expect(headers['content-type']).toContain('application/scim+json');
  expect(headers['location']).toBe((body['meta'] as unknown as { location: string }).location);
  expect(body).toMatchObject({
    userName: 'ada@corp.example',
    externalId: 'oid-ada',
    active: true,
    displayName: 'Person ada',
  });
  const { body: read } = await client.call('GET', `/Users/${body['id']}`);
  expect(read).toEqual(body);
  for (const filter of [
    'userName eq "ADA@corp.example"',
    'externalId eq "oid-ada"',
    `id eq "${body['id']}"`,
    'emails[type eq "work"].value eq "x" or emails[type eq "work" and value eq "ada@corp.example"]',
    'userName eq "ada@corp.example" and active eq true',
  ]) {
    const found = await client.call('GET', `/Users?filter=${encodeURIComponent(filter)}`);
    if (filter.includes('].value')) expect(found.body).toMatchObject({ scimType: 'invalidFilter' });
    else expect(found.body['totalResults'], filter).toBe(1);
  }
  expect(await userOf('ada@corp.example')).toMatchObject({ enabled: true });
  expect(await client.call('POST', '/Users', entraUser('ada'))).toMatchObject({
    status: 409,
    body: { scimType: 'uniqueness' },
  });
  expect((await client.call('GET', '/Users/00000000-0000-0000-0000-000000000000')).status).toBe(404);
});

test('Entra ID: updates by PATCH, disables with "False", enables again', async () => {
  const id = await created('bob');
  const before = await userOf('bob@corp.example');
  const updated = await client.patch(
    `/Users/${id}`,
    { op: 'Replace', path: 'displayName', value: 'Robert' },
    { op: 'Replace', path: 'emails[type eq "work"].value', value: 'robert@corp.example' },
    { op: 'Add', path: `${ENTERPRISE}:department`, value: 'Harbour' },
    { op: 'Replace', path: 'userName', value: 'robert@corp.example' },
  );
  expect(updated).toMatchObject({ status: 200, body: { displayName: 'Robert', userName: 'robert@corp.example' } });
  expect(updated.body[ENTERPRISE]).toEqual({ department: 'Harbour' });
  expect((await userOf('robert@corp.example'))?.id).toBe(before?.id);
  const disabled = await client.patch(`/Users/${id}`, { op: 'Replace', path: 'active', value: 'False' });
  expect(disabled).toMatchObject({ status: 200, body: { active: false } });
  expect((await userOf('robert@corp.example'))?.enabled).toBe(false);
  await client.patch(`/Users/${id}`, { op: 'Replace', value: { active: true } });
  expect((await userOf('robert@corp.example'))?.enabled).toBe(true);
});

test('who is out is not let in by a resource that says nothing of it', async () => {
  const id = await created('olaf', { active: false });
  expect(await userOf('olaf@corp.example')).toBeUndefined();
  const { active: _, ...silent } = entraUser('olaf') as { active: boolean };
  expect((await client.call('PUT', `/Users/${id}`, silent)).body).toMatchObject({ active: false });
  expect((await client.patch(`/Users/${id}`, { op: 'replace', path: 'Active', value: 'TRUE' })).body).toMatchObject({
    active: true,
  });
  expect(await userOf('olaf@corp.example')).toMatchObject({ enabled: true });
});

test('PUT replaces, DELETE removes for good, both only what is there', async () => {
  const id = await created('carol');
  const put = await client.call('PUT', `/Users/${id}`, entraUser('carol', { displayName: 'Carol', emails: [] }));
  expect(put).toMatchObject({ status: 200, body: { displayName: 'Carol', emails: [] } });
  expect((await client.call('DELETE', `/Users/${id}`)).status).toBe(204);
  expect((await client.call('GET', `/Users/${id}`)).status).toBe(404);
  expect((await client.call('DELETE', `/Users/${id}`)).status).toBe(404);
  expect((await client.call('PUT', `/Users/${id}`, entraUser('carol'))).status).toBe(404);
  expect((await client.patch(`/Users/${id}`, { op: 'replace', path: 'active', value: false })).status).toBe(404);
  expect((await userOf('carol@corp.example'))?.enabled).toBe(false);
});

test('Entra ID: groups are created, filled, asked for without their members, renamed and emptied', async () => {
  const [dan, eve] = [await created('dan'), await created('eve')];
  const id = await group('Field Staff', [dan]);
  expect((await userOf('dan@corp.example'))?.groups).toEqual(['field-staff@entra']);
  const added = await client.patch(`/Groups/${id}`, {
    op: 'Add',
    path: 'members',
    value: [{ $ref: null, value: eve }],
  });
  expect(added.status).toBe(204);
  expect((await userOf('eve@corp.example'))?.groups).toEqual(['field-staff@entra']);
  const listed = await client.call(
    'GET',
    `/Groups?excludedAttributes=members&filter=${encodeURIComponent('displayName eq "field staff"')}`,
  );
  expect(listed.body).toMatchObject({ totalResults: 1, Resources: [{ id, displayName: 'Field Staff' }] });
  expect((listed.body['Resources'] as unknown as object[])[0]).not.toHaveProperty('members');
  const filter = encodeURIComponent(`id eq "${id}" and members eq "${eve}"`);
  expect((await client.call('GET', `/Groups?filter=${filter}`)).body['totalResults']).toBe(1);
  const { body } = await client.call('GET', `/Groups/${id}`);
  expect((body['members'] as unknown as { value: string }[]).map(({ value }) => value).sort()).toEqual(
    [dan, eve].sort(),
  );
  await client.patch(`/Groups/${id}`, { op: 'Remove', path: 'members', value: [{ value: dan }] });
  await client.patch(`/Groups/${id}`, { op: 'Replace', path: 'displayName', value: 'Crew' });
  expect((await userOf('dan@corp.example'))?.groups).toEqual([]);
  // A group keeps what it stands for, whatever it is called.
  expect((await userOf('eve@corp.example'))?.groups).toEqual(['field-staff@entra']);
  const { body: user } = await client.call('GET', `/Users/${eve}`);
  expect(user['groups']).toEqual([expect.objectContaining({ value: id, display: 'Crew' })]);
  expect((await client.call('DELETE', `/Groups/${id}`)).status).toBe(204);
  expect((await userOf('eve@corp.example'))?.groups).toEqual([]);
});

test('a new group of an old name does not inherit what the old one was given', async () => {
  const id = await group('Admins');
  await client.call('DELETE', `/Groups/${id}`);
  const mallory = await created('mallory');
  await group('Admins', [mallory]);
  const groups = (await userOf('mallory@corp.example'))!.groups;
  expect(groups).toHaveLength(1);
  expect(groups[0]).toMatch(/^admins-[0-9a-f]{8}@entra$/);
});

test('members must be users, names unique, values of their type; errors say which', async () => {
  const cases = [
    [await client.call('POST', '/Groups', { displayName: 'x', members: [{ value: 'nobody' }] }), 400, 'invalidValue'],
    [await client.call('POST', '/Groups', { displayName: '' }), 400, 'invalidValue'],
    [await client.call('POST', '/Users', { userName: 7 }), 400, 'invalidValue'],
    [await client.call('POST', '/Users', { displayName: 'no name' }), 400, 'invalidValue'],
    [await client.call('POST', '/Users', entraUser('x', { active: 'perhaps' })), 400, 'invalidValue'],
    [await client.call('POST', '/Users', '[]'), 400, 'invalidSyntax'],
    [await client.call('GET', '/Users?filter=userName'), 400, 'invalidFilter'],
  ] as const;
  for (const [answer, status, scimType] of cases)
    expect(answer).toMatchObject({ status, body: { schemas: [ERROR], status: String(status), scimType } });
  expect(await userOf('x@corp.example')).toBeUndefined();
});

test('pages go through all users, each once, with the total', async () => {
  for (let i = 0; i < 7; i++) await created(`page-${i}`);
  const seen: string[] = [];
  for (let start = 1; ; start += 4) {
    const { body } = await client.call('GET', `/Users?startIndex=${start}&count=4`);
    const resources = body['Resources'] as unknown as { id: string }[];
    expect(body).toMatchObject({ startIndex: start, itemsPerPage: resources.length });
    seen.push(...resources.map(({ id }) => id));
    if (seen.length >= (body['totalResults'] as unknown as number)) break;
  }
  expect(new Set(seen).size).toBe(seen.length);
  expect((await client.call('GET', '/Users?count=0')).body).toMatchObject({ Resources: [], totalResults: seen.length });
  const { body } = await client.call('GET', '/Users?count=1&attributes=userName');
  expect(Object.keys((body['Resources'] as unknown as object[])[0]!).sort()).toEqual(['id', 'schemas', 'userName']);
  expect((await client.call('GET', '/Users?startIndex=-3&count=x')).status).toBe(200);
});

test('a group of thousands comes in one request, with everything that clients say of members, and goes in one', async () => {
  const many: string[] = [];
  for (let i = 0; i < 40; i++) many.push(await created(`many-${i}`));
  // Members that are named again and again count once: what matters here is the size of the body.
  const members = Array.from({ length: 5_000 }, (_, i) => {
    const value = many[i % many.length]!;
    return {
      value,
      display: `Person ${i} of the very long names`,
      type: 'User',
      $ref: `https://gateway.example:8445/scim/v2/Users/${value}`,
    };
  });
  const { status, body } = await client.call('POST', '/Groups', { displayName: 'Everybody', members });
  expect([status, body['detail']]).toEqual([201, undefined]);
  expect(body['members']).toHaveLength(many.length);
  const put = await client.call('PUT', `/Groups/${body['id']}`, { displayName: 'Everybody', members });
  expect([put.status, (put.body['members'] as unknown as object[]).length]).toEqual([200, many.length]);
  const removals = many.slice(1).map((value) => ({ op: 'Remove', path: `members[value eq "${value}"]` }));
  const operations = Array.from({ length: 50 }, () => removals).flat();
  expect((await client.patch(`/Groups/${body['id']}`, ...operations)).status).toBe(204);
  expect((await userOf('many-0@corp.example'))?.groups).toEqual(['everybody@entra']);
  expect((await userOf('many-39@corp.example'))?.groups).toEqual([]);
});

test('what a real store cannot hold is refused, not an outage', async () => {
  const answers = [
    await client.call('POST', '/Users', entraUser('nul', { displayName: 'a\0b' })),
    await client.call('GET', '/Users/%00'),
    await client.call('GET', `/Users?filter=${encodeURIComponent('externalId eq "a\\u0000b"')}`),
    await client.call('GET', '/Users?startIndex=99999999999999999999'),
  ];
  expect(answers.map(({ status }) => status)).toEqual([400, 404, 400, 200]);
});

test('hostile filters are refused or find nobody', async () => {
  const list = new URL('../../../../shared/corpora/ldap/LDAP_FUZZ.txt', import.meta.url);
  if (!existsSync(list)) console.log(`the folder of third-party data is missing: ${list.pathname} is not tried`);
  const more = existsSync(list) ? readFileSync(list, 'utf8').split('\n').filter(Boolean) : [];
  for (const line of [...HOSTILE_FILTERS, ...more]) {
    const raw = await client.call('GET', `/Users?filter=${encodeURIComponent(line)}`);
    expect(raw.status, line).toBe(400);
    const quoted = await client.call(
      'GET',
      `/Users?filter=${encodeURIComponent(`userName eq ${JSON.stringify(line)}`)}`,
    );
    expect(quoted.body['totalResults'], line).toBe(0);
  }
});

test('one directory never sees or touches the users of another', async () => {
  await gateway.operator.call(api.directories.put, {
    params: { name: 'other' },
    body: {
      kind: 'scim',
      stage: 'active',
      settings: { suffix: '-other' },
    },
  });
  const { token } = await gateway.operator.call(api.directories.token, { params: { name: 'other' }, body: {} });
  const id = await created('frank');
  const own = client.token;
  client.token = token as string;
  expect((await client.call('GET', '/Users')).body['totalResults']).toBe(0);
  expect((await client.call('GET', `/Users/${id}`)).status).toBe(404);
  expect((await client.call('DELETE', `/Users/${id}`)).status).toBe(404);
  expect((await client.call('POST', '/Groups', { displayName: 'g', members: [{ value: id }] })).status).toBe(400);
  // The same person of another directory is another user: nobody is matched by name or mail.
  expect((await client.call('POST', '/Users', entraUser('frank'))).status).toBe(201);
  client.token = own;
  expect(await userOf('frank@corp.example')).toMatchObject({ enabled: true });
  expect(await userOf('frank@corp.example-other')).toMatchObject({ enabled: true });
});

test('a staged directory makes no users until it is activated, with the groups that were pushed meanwhile', async () => {
  const { operator } = gateway;
  await operator.call(api.directories.put, {
    params: { name: 'next' },
    body: { kind: 'scim', stage: 'staged', settings: { suffix: '-next' } },
  });
  const { token } = await operator.call(api.directories.token, { params: { name: 'next' }, body: {} });
  const own = client.token;
  client.token = token as string;
  const id = await created('gina');
  await group('Crew', [id]);
  client.token = own;
  expect(await userOf('gina@corp.example-next')).toBeUndefined();
  await operator.call(api.directories.put, {
    params: { name: 'next' },
    body: { kind: 'scim', stage: 'active', settings: { suffix: '-next' } },
  });
  expect(await userOf('gina@corp.example-next')).toMatchObject({ enabled: true, groups: ['crew@next'] });
});

test('a pushed user enrols by a code only when a provider signs them in: no password of ours fits', async () => {
  await created('hal');
  const device = await openDevice(memoryStorage(), () => CONTEXT);
  const link = await gateway.link('hal@corp.example');
  await expect(device.enroll(link, { user: 'hal@corp.example', password: 'anything' })).rejects.toMatchObject({
    code: 'CREDENTIALS_INVALID',
  });
  await expect(
    gateway.operator.call(api.users.put, { params: { name: 'hal@corp.example' }, body: { password: 'long enough' } }),
  ).rejects.toMatchObject({ status: 422 });
});

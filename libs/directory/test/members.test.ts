import type { Entry } from 'ldapts';
import { expect, test } from 'vitest';
import { allMembers } from '../src/ldap/members.ts';

/** A server that gives at most `size` members at once, in ranges, as Active Directory does. */
function server(members: readonly string[], size: number) {
  const asked: string[] = [];
  const part = (from: number): Entry => {
    const last = Math.min(from + size, members.length);
    const name = `member;range=${from}-${last === members.length ? '*' : last - 1}`;
    return { dn: 'cn=g', [name]: members.slice(from, last) };
  };
  return {
    asked,
    first: part(0),
    connection: {
      read: async (_dn: string, [attribute = '']: readonly string[]): Promise<Entry | undefined> => {
        asked.push(attribute);
        return part(Number(/range=(\d+)-/.exec(attribute)?.[1]));
      },
    },
  };
}

test.each([
  [1, 10],
  [9, 10],
  [10, 10],
  [11, 10],
  [35, 10],
])('%d members in ranges of %d are all read, each once', async (count, size) => {
  const members = Array.from({ length: count }, (_, i) => `cn=${i}`);
  const { connection, first, asked } = server(members, size);
  expect(await allMembers(connection, first, 'member')).toEqual(members);
  expect(asked).toHaveLength(Math.ceil(count / size) - 1);
});

test('members that come whole are taken as they are, one or many or none', async () => {
  const { connection } = server([], 1);
  expect(await allMembers(connection, { dn: 'cn=g', member: 'cn=1' }, 'member')).toEqual(['cn=1']);
  expect(await allMembers(connection, { dn: 'cn=g', MEMBER: ['cn=1', 'cn=2'] }, 'member')).toEqual(['cn=1', 'cn=2']);
  expect(await allMembers(connection, { dn: 'cn=g', uniqueMember: ['cn=3'] }, 'member')).toEqual(['cn=3']);
  expect(await allMembers(connection, { dn: 'cn=g' }, 'member')).toEqual([]);
});

test('a group that vanishes in the middle is an error, not a smaller group', async () => {
  const gone = { read: async () => undefined };
  const first = { dn: 'cn=g', 'member;range=0-1': ['cn=1', 'cn=2'] };
  await expect(allMembers(gone, first, 'member')).rejects.toMatchObject({ code: 'ERR_DIRECTORY_ANSWER' });
});

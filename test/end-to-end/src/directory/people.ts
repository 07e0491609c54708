import { createHash } from 'node:crypto';
import { type LdifEntry, SUFFIX } from './slapd.ts';

/** Password of every person of a tree. */
export const PERSON_PASSWORD = 'tell no one';

/** Name of the person with a number. */
export function loginOf(i: number): string {
  return `u${String(i).padStart(6, '0')}`;
}

/** Where a person is. */
export function dnOf(i: number, attribute: 'uid' | 'cn' = 'uid'): string {
  return `${attribute}=${loginOf(i)},ou=people,${SUFFIX}`;
}

/** Where a group is. */
export function groupDn(name: string): string {
  return `cn=${name},ou=groups,${SUFFIX}`;
}

/** How many people are in a team; teams make departments of ten, departments the one group `all`. */
const TEAM = 50;
const DEPARTMENT = 10;

interface GroupShape {
  readonly group: (name: string, members: readonly string[], number: number) => LdifEntry;
  readonly dn: (i: number) => string;
}

/** People of OpenLDAP's usual schema, in nested groups: teams in departments in `all`. */
export function* standardTree(count: number): Generator<LdifEntry> {
  for (let i = 0; i < count; i++) {
    const login = loginOf(i);
    yield [
      dnOf(i),
      {
        objectClass: ['inetOrgPerson', 'shadowAccount'],
        uid: login,
        cn: `Person ${i}`,
        sn: `${i}`,
        mail: `${login}@corp.example`,
        employeeNumber: String(100_000 + i),
        userPassword: PERSON_PASSWORD,
      },
    ];
  }
  const group = (name: string, members: readonly string[]): LdifEntry => [
    groupDn(name),
    { objectClass: 'groupOfNames', cn: name, member: members },
  ];
  yield* nestedGroups(count, { group, dn: (i) => dnOf(i) });
}

/** People as Active Directory has them, with its attributes. */
export function* adTree(count: number): Generator<LdifEntry> {
  for (let i = 0; i < count; i++) {
    const login = loginOf(i);
    yield [
      dnOf(i, 'cn'),
      {
        objectClass: 'user',
        cn: login,
        sn: `${i}`,
        sAMAccountName: login,
        displayName: `Person ${i}`,
        objectGUID: guidOf(`user ${i}`),
        userAccountControl: '512',
        accountExpires: '9223372036854775807',
        uSNChanged: String(1_000 + i),
        userPrincipalName: `${login}@corp.example`,
        employeeID: String(100_000 + i),
        userPassword: PERSON_PASSWORD,
      },
    ];
  }
  const group = (name: string, members: readonly string[], number: number): LdifEntry => [
    groupDn(name),
    {
      objectClass: 'group',
      cn: name,
      objectGUID: guidOf(`group ${name}`),
      uSNChanged: String(1_000 + count + number),
      member: members,
    },
  ];
  yield* nestedGroups(count, { group, dn: (i) => dnOf(i, 'cn') });
}

/** A GUID for a text. */
export function guidOf(text: string): Buffer {
  return createHash('sha256').update(text).digest().subarray(0, 16);
}

function* nestedGroups(count: number, { group, dn }: GroupShape): Generator<LdifEntry> {
  const teams = Math.ceil(count / TEAM);
  const departments = Math.ceil(teams / DEPARTMENT);
  let number = 0;
  for (let team = 0; team < teams; team++) {
    const size = Math.min(TEAM, count - team * TEAM);
    yield group(
      `team-${team}`,
      Array.from({ length: size }, (_, i) => dn(team * TEAM + i)),
      number++,
    );
  }
  for (let department = 0; department < departments; department++) {
    const size = Math.min(DEPARTMENT, teams - department * DEPARTMENT);
    const members = Array.from({ length: size }, (_, i) => groupDn(`team-${department * DEPARTMENT + i}`));
    yield group(`department-${department}`, members, number++);
  }
  yield group(
    'all',
    Array.from({ length: departments }, (_, i) => groupDn(`department-${i}`)),
    number++,
  );
}

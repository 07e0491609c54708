import fc from 'fast-check';
import { expect, test } from 'vitest';
import { applyPatch, parsePatch, readScimUser, ScimError, type ScimObject, splitGroupPatch } from '../src/index.ts';

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';
const ADA: ScimObject = {
  userName: 'ada',
  active: true,
  name: { givenName: 'Ada', familyName: 'Byron' },
  emails: [{ type: 'work', value: 'ada@corp.example', primary: true }],
};

function patched(...operations: object[]): ScimObject {
  return applyPatch(
    ADA,
    parsePatch({ schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations: operations }),
  );
}

test('Entra ID: replaces single values, with its capital letters and its texts for truth', () => {
  const result = patched(
    { op: 'Replace', path: 'displayName', value: 'Ada King' },
    { op: 'Add', path: 'nickName', value: 'Babbage' },
    { op: 'Replace', path: 'active', value: 'False' },
    { op: 'replace', path: 'name.familyName', value: 'King' },
  );
  expect(result).toMatchObject({
    displayName: 'Ada King',
    nickName: 'Babbage',
    name: { givenName: 'Ada', familyName: 'King' },
  });
  expect(readScimUser(result).active).toBe(false);
  expect(readScimUser(ADA).active).toBe(true);
});

test('Entra ID: replaces by a filtered path, and makes the element when there is none', () => {
  const result = patched(
    { op: 'Replace', path: 'emails[type eq "work"].value', value: 'new@corp.example' },
    { op: 'Add', path: 'phoneNumbers[type eq "mobile"].value', value: '+44 1' },
    { op: 'Add', path: 'roles[primary eq "True"].value', value: 'harbour' },
  );
  expect(result['emails']).toEqual([{ type: 'work', value: 'new@corp.example', primary: true }]);
  expect(result['phoneNumbers']).toEqual([{ type: 'mobile', value: '+44 1' }]);
  expect(result['roles']).toEqual([{ primary: 'True', value: 'harbour' }]);
});

test('Entra ID: an object without a path, with dotted names and URNs as keys', () => {
  const result = patched({
    op: 'Add',
    value: {
      'name.givenName': 'Augusta',
      [`${ENTERPRISE}:department`]: 'Analysis',
      [ENTERPRISE]: { employeeNumber: '701' },
      displayName: 'A',
    },
  });
  expect(result).toMatchObject({ name: { givenName: 'Augusta', familyName: 'Byron' }, displayName: 'A' });
  expect(result[ENTERPRISE]).toEqual({ department: 'Analysis', employeeNumber: '701' });
});

test('Entra ID: extension attributes by path, and their removal', () => {
  const added = patched({ op: 'Add', path: `${ENTERPRISE}:department`, value: 'Harbour' });
  expect(added[ENTERPRISE]).toEqual({ department: 'Harbour' });
  const [operation] = parsePatch({ Operations: [{ op: 'Remove', path: `${ENTERPRISE}:department` }] });
  expect(applyPatch(added, [operation!])[ENTERPRISE]).toEqual({});
});

test('RFC 7644: add to a list keeps what is there once, remove takes by filter, whole or one part', () => {
  const mail = { type: 'work', value: 'ada@corp.example', primary: true };
  expect(patched({ op: 'add', path: 'emails', value: [mail, { type: 'home', value: 'h' }] })['emails']).toEqual([
    mail,
    { type: 'home', value: 'h' },
  ]);
  expect(patched({ op: 'remove', path: 'emails[type eq "work"]' })).not.toHaveProperty('emails');
  expect(patched({ op: 'remove', path: 'emails[type eq "work"].primary' })['emails']).toEqual([
    { type: 'work', value: 'ada@corp.example' },
  ]);
  expect(patched({ op: 'remove', path: 'emails[type eq "home"]' })).toEqual(ADA);
  expect(patched({ op: 'remove', path: 'nickName' })).toEqual(ADA);
});

const REFUSED: readonly (readonly [object, string])[] = [
  [{ op: 'remove' }, 'noTarget'],
  [{ op: 'move', path: 'a' }, 'invalidSyntax'],
  [{ op: 'add', path: 'a' }, 'invalidValue'],
  [{ op: 'add', value: 'x' }, 'invalidValue'],
  [{ op: 'add', path: 'a[b', value: 1 }, 'invalidPath'],
  [{ op: 'add', path: 'a.b.c', value: 1 }, 'invalidPath'],
  [{ op: 'add', path: '__proto__', value: { polluted: true } }, 'invalidPath'],
  [{ op: 'add', path: 'name.__proto__', value: { polluted: true } }, 'invalidPath'],
  [{ op: 'add', path: 'constructor.prototype', value: { polluted: true } }, 'invalidPath'],
  [{ op: 'add', path: 'name', value: JSON.parse('{"__proto__":{"polluted":true}}') }, 'invalidPath'],
  [JSON.parse('{"op":"add","value":{"__proto__":{"polluted":true}}}'), 'invalidPath'],
  [{ op: 'add', path: 'emails[value co "zzz"].type', value: 'work' }, 'noTarget'],
  [{ op: 'add', path: 'emails[type like "x"].type', value: 'work' }, 'invalidFilter'],
];

test.each(REFUSED)('refuses %j as %s', (operation, scimType) => {
  expect(() => patched(operation)).toThrow(expect.objectContaining({ name: 'ScimError', scimType }));
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test('whatever a client sends, the stored resource and the language stay as they were', () => {
  const path = fc.oneof(
    fc.string(),
    fc.constantFrom('emails', 'emails[type eq "work"].value', 'name.givenName', 'active', '__proto__.x', 'constructor'),
  );
  const operation = fc.record(
    { op: fc.constantFrom('add', 'Replace', 'remove', 'x'), path, value: fc.jsonValue() },
    { requiredKeys: ['op'] },
  );
  const before = structuredClone(ADA);
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 5 }), (operations) => {
      try {
        patched(...operations);
      } catch (error) {
        expect(error).toBeInstanceOf(ScimError);
      }
      expect(ADA).toEqual(before);
      expect(Object.keys(Object.prototype)).toEqual([]);
    }),
    { verbose: 1, numRuns: 5_000 },
  );
});

test('members of a group: added, removed by filter or by list, replaced, in the order of the operations', () => {
  const split = (...Operations: object[]) => splitGroupPatch({ displayName: 'team' }, parsePatch({ Operations }));
  expect(split({ op: 'Add', path: 'members', value: [{ $ref: null, value: 'u1' }, { value: 'u2' }] }).steps).toEqual([
    { op: 'add', members: ['u1', 'u2'] },
  ]);
  expect(split({ op: 'Remove', path: 'members', value: [{ value: 'u1' }] }).steps).toEqual([
    { op: 'remove', members: ['u1'] },
  ]);
  expect(split({ op: 'remove', path: 'members[value eq "u1"]' }).steps).toEqual([{ op: 'remove', members: ['u1'] }]);
  expect(split({ op: 'remove', path: 'members' }).steps).toEqual([{ op: 'replace', members: [] }]);
  const mixed = split(
    { op: 'replace', value: { displayName: 'crew', members: [{ value: 'u3' }] } },
    { op: 'replace', path: 'externalId', value: 'x-1' },
  );
  expect(mixed).toEqual({
    attributes: { displayName: 'crew', externalId: 'x-1' },
    steps: [{ op: 'replace', members: ['u3'] }],
  });
  expect(() => split({ op: 'remove', path: 'members[display eq "x" or value pr]' })).toThrow(ScimError);
  expect(() => split({ op: 'add', path: 'members', value: [{ value: 7 }] })).toThrow(ScimError);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  applyPatch,
  Pace,
  parseJsonInTurns,
  parsePatch,
  readScimUser,
  ScimError,
  type ScimObject,
  splitGroupPatch,
} from '../src/index.ts';

const ENTERPRISE = 'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User';

test('JSON in turns is JSON, whatever it holds', async () => {
  await fc.assert(
    fc.asyncProperty(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom(undefined, 1, '\t'), async (value, space) => {
      const text = JSON.stringify(value, null, space);
      const hasForbidden = /"(__proto__|constructor)"\s*:/.test(text);
      const parsed = parseJsonInTurns(text, new Pace());
      if (hasForbidden) await expect(parsed).rejects.toThrow(ScimError);
      else expect(await parsed).toEqual(JSON.parse(text));
    }),
    { verbose: 1, numRuns: 2_000 },
  );
});

test('what JSON.parse refuses is refused in turns, too', async () => {
  const pieces = [
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
    '"a"',
    '"\\u00e9"',
    '"\\x"',
    '"a',
    '1',
    '-',
    '01',
    '1.5e3',
    'true',
    'nul',
    ' ',
    '\n',
  ];
  await fc.assert(
    fc.asyncProperty(fc.array(fc.constantFrom(...pieces), { maxLength: 12 }), async (parts) => {
      const text = parts.join('');
      let value: unknown;
      try {
        value = JSON.parse(text);
      } catch {
        await expect(parseJsonInTurns(text, new Pace()), text).rejects.toThrow(ScimError);
        return;
      }
      expect(await parseJsonInTurns(text, new Pace()), text).toEqual(value);
    }),
    { verbose: 1, numRuns: 20_000 },
  );
});

test.each([
  ['"__proto__":{"polluted":true}', '{%}'],
  ['nesting', `${'['.repeat(1_000)}${']'.repeat(1_000)}`],
  ['a text without an end', `"${'x'.repeat(100_000)}`],
  ['a text beyond all texts', `"${'x'.repeat(100_000)}"`],
  ['a number beyond all numbers', '1'.repeat(100_000)],
])('refused: %s', async (words, text) => {
  await expect(parseJsonInTurns(text.replace('%', words), new Pace())).rejects.toThrow(ScimError);
  expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
});

test.each([
  ['values', `[${'[],'.repeat(2_000_000)}[]]`],
  ['names in an object', `{${Array.from({ length: 10_001 }, (_, i) => `"n${i}":1`).join(',')}}`],
])('a body of more %s than anybody needs is refused', async (_, text) => {
  await expect(parseJsonInTurns(text, new Pace())).rejects.toMatchObject({ name: 'ScimError', scimType: 'tooMany' });
});

test.each([
  [
    'members',
    (n: number) =>
      JSON.stringify({ members: Array.from({ length: n }, (_, i) => ({ value: `id-${i}`, display: 'x' })) }),
  ],
  ['spaces', (n: number) => `{${' '.repeat(n * 100)}}`],
  ['texts', (n: number) => JSON.stringify(Array.from({ length: n / 100 }, () => 'x'.repeat(10_000)))],
  ['quotes', (n: number) => JSON.stringify(Array.from({ length: n / 10 }, () => '"'.repeat(1_000)))],
])('four times as many %s take four times as many turns: none of them grows', async (_, textOf) => {
  const turnsOf = async (n: number): Promise<number> => {
    const pace = new Pace();
    await parseJsonInTurns(textOf(n), pace);
    return pace.turns;
  };
  const [small, large] = [await turnsOf(10_000), await turnsOf(40_000)];
  expect(small).toBeGreaterThan(2);
  expect(large / small).toBeGreaterThan(3);
  expect(large / small).toBeLessThan(5);
});

/** Elements that count how often somebody looks at them. */
function watched(n: number, counter: { reads: number }): object[] {
  return Array.from({ length: n }, (_, i) => ({
    get value() {
      counter.reads += 1;
      return `${i}@corp.example`;
    },
  }));
}

test.each(['add', 'remove'])('%s: a list is gone through once, not once for each element', (op) => {
  const readsOf = (n: number): number => {
    const counter = { reads: 0 };
    const resource = { emails: Array.from({ length: 200 }, (_, i) => ({ value: `${i}@other.example` })) };
    try {
      applyPatch(resource, parsePatch({ Operations: [{ op, path: 'emails', value: watched(n, counter) }] }));
    } catch (error) {
      expect(error).toMatchObject({ scimType: 'tooMany' });
    }
    return counter.reads;
  };
  expect(readsOf(100)).toBeGreaterThan(0);
  expect(readsOf(400) / readsOf(100)).toBeLessThan(6);
  expect(readsOf(20_000)).toBeLessThan(20_000 * 6);
});

const emails = Array.from({ length: 500 }, (_, i) => ({ type: `t${i}`, value: `${i}@corp.example` }));
const FILTER = Array.from({ length: 40 }, (_, i) => `type eq "t${i}"`).join(' or ');

test.each<[string, ScimObject, object[]]>([
  [
    'many elements in one list',
    {},
    [{ op: 'add', path: 'emails', value: Array.from({ length: 5_000 }, (_, i) => ({ value: i })) }],
  ],
  [
    'many operations by a long filter',
    { emails },
    Array.from({ length: 900 }, () => ({ op: 'replace', path: `emails[${FILTER}].display`, value: 'x' })),
  ],
  [
    'one long text into many elements',
    { emails },
    [{ op: 'replace', path: 'emails.display', value: 'x'.repeat(200_000) }],
  ],
  [
    'one deep value into many elements',
    { emails },
    [{ op: 'add', path: 'emails[value pr]', value: { a: Array.from({ length: 499 }, () => ({ b: 1 })) } }],
  ],
])('a PATCH that asks for too much is refused before it is carried out: %s', (_, resource, Operations) => {
  expect(() => applyPatch(resource, parsePatch({ Operations }))).toThrow(
    expect.objectContaining({ scimType: 'tooMany' }),
  );
});

test('what providers send in one PATCH is far from too much', () => {
  const Operations = [
    ...Array.from({ length: 100 }, (_, i) => ({
      op: 'Replace',
      path: `emails[type eq "t${i}"].value`,
      value: `new-${i}`,
    })),
    {
      op: 'Add',
      path: 'roles',
      value: Array.from({ length: 400 }, (_, i) => ({ value: `role ${i}`, display: 'x'.repeat(60) })),
    },
    { op: 'Add', path: `${ENTERPRISE}:department`, value: 'Harbour' },
  ];
  const patched = applyPatch({ userName: 'x', emails: emails.slice(0, 200) }, parsePatch({ Operations }));
  expect(readScimUser(patched).userName).toBe('x');
});

test('a request names so many members and no more, in one operation or in many', () => {
  const members = (n: number) => Array.from({ length: n }, (_, i) => ({ value: `u${i}` }));
  const split = (...Operations: object[]) => splitGroupPatch({ displayName: 'x' }, parsePatch({ Operations }));
  const add = (n: number) => ({ op: 'add', path: 'members', value: members(n) });
  expect(split(add(100_000)).steps[0]!.members).toHaveLength(100_000);
  const tooMany = expect.objectContaining({ scimType: 'tooMany' });
  expect(() => split(add(200_001))).toThrow(tooMany);
  expect(() => split(add(150_000), { op: 'remove', path: 'members', value: members(100_000) })).toThrow(tooMany);
});

test('nesting without end is refused, not an overflow', () => {
  let deep: unknown = 'x';
  for (let i = 0; i < 20_000; i++) deep = [deep];
  expect(() => applyPatch({}, parsePatch({ Operations: [{ op: 'add', path: 'title', value: deep }] }))).toThrow(
    ScimError,
  );
  expect(() => readScimUser({ userName: 'x', title: deep })).toThrow(ScimError);
});

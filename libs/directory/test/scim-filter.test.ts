import fc from 'fast-check';
import { expect, test } from 'vitest';
import { matchesFilter, parseScimFilter, ScimError, type ScimFilter, type ScimObject } from '../src/index.ts';

const ADA: ScimObject = {
  id: '1',
  userName: 'Ada@Corp.example',
  externalId: 'AbC',
  active: true,
  name: { givenName: 'Ada', familyName: "O'Malley" },
  emails: [
    { type: 'work', value: 'ada@corp.example', primary: true },
    { type: 'home', value: 'ada@home.example' },
  ],
  logins: 7,
  meta: { lastModified: '2026-05-13T04:42:34Z' },
  'urn:ietf:params:scim:schemas:extension:enterprise:2.0:User': { department: 'Harbour', employeeNumber: '701' },
};

/** Filters of RFC 7644, figure 1 and the text around it, and what they say of Ada. */
const TRUTHS: readonly (readonly [string, boolean])[] = [
  ['userName eq "ada@corp.example"', true],
  ['USERNAME EQ "ADA@CORP.EXAMPLE"', true],
  ['name.familyName co "O\'Malley"', true],
  ['userName sw "A"', true],
  ['urn:ietf:params:scim:schemas:core:2.0:User:userName sw "a"', true],
  ['title pr', false],
  ['userName pr', true],
  ['meta.lastModified gt "2011-05-13T04:42:34Z"', true],
  ['meta.lastModified le "2011-05-13T04:42:34Z"', false],
  ['title pr and userType eq "Employee"', false],
  ['title pr or userName pr', true],
  ['schemas eq "urn:x"', false],
  ['userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")', false],
  ['userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")', true],
  ['emails[type eq "work" and value co "@corp.example"]', true],
  ['emails[type eq "home" and value co "@corp.example"]', false],
  ['emails.type eq "home"', true],
  ['active eq true', true],
  ['active eq "True"', true],
  ['active ne true', false],
  ['logins ge 7', true],
  ['logins gt 7', false],
  ['logins lt "8"', false],
  ['title eq null', true],
  ['userName eq null', false],
  ['urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department eq "harbour"', true],
  ['userName ew ".example"', true],
  // `and` binds closer than `or`.
  ['title pr and title pr or userName pr', true],
  ['userName pr or title pr and title pr', true],
];

test.each(TRUTHS)('%s', (text, truth) => {
  expect(matchesFilter(ADA, parseScimFilter(text))).toBe(truth);
});

const BAD: readonly string[] = [
  '',
  'userName',
  'userName eq',
  'userName eq ada',
  'userName like "a"',
  'userName eq "a',
  'userName eq "a" and',
  '(userName pr',
  'userName pr)',
  'emails[type eq "work"',
  'a.b.c pr',
  '__proto__ pr',
  'constructor.prototype pr',
  'userName eq {}',
  'userName eq [1]',
  'not userName pr',
  `${'('.repeat(50)}userName pr${')'.repeat(50)}`,
  `userName eq "${'x'.repeat(5_000)}"`,
  'userName pr; drop table users',
  '1=1',
  '" or "1"="1',
];

test.each(BAD)('refuses %j', (text) => {
  expect(() => parseScimFilter(text)).toThrow(ScimError);
});

const names = fc.constantFrom('userName', 'externalId', 'active', 'displayName');
const subs = fc.constantFrom('', 'value', 'type');
const path = fc.record({
  schema: fc.constantFrom('', 'urn:ietf:params:scim:schemas:core:2.0:User'),
  name: names,
  sub: subs,
});
const value = fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null));
const operator = fc.constantFrom('eq', 'ne', 'co', 'sw', 'ew', 'gt', 'ge', 'lt', 'le');
const { filter } = fc.letrec<{ filter: ScimFilter }>((tie) => ({
  filter: fc.oneof(
    { maxDepth: 4 },
    fc.record({ kind: fc.constant('compare'), path, operator, value }),
    fc.record({ kind: fc.constant('present'), path }),
    fc.record({ kind: fc.constantFrom('and', 'or'), left: tie('filter'), right: tie('filter') }),
    fc.record({ kind: fc.constant('not'), filter: tie('filter') }),
    fc.record({ kind: fc.constant('element'), path: path.map((one) => ({ ...one, sub: '' })), filter: tie('filter') }),
  ) as fc.Arbitrary<ScimFilter>,
}));

function format(of: ScimFilter): string {
  switch (of.kind) {
    case 'compare':
      return `${formatPath(of.path)} ${of.operator} ${JSON.stringify(of.value)}`;
    case 'present':
      return `${formatPath(of.path)} pr`;
    case 'and':
    case 'or':
      return `(${format(of.left)}) ${of.kind} (${format(of.right)})`;
    case 'not':
      return `not (${format(of.filter)})`;
    case 'element':
      return `${formatPath(of.path)}[${format(of.filter)}]`;
  }
}

function formatPath({ schema, name, sub }: { schema: string; name: string; sub: string }): string {
  return `${schema === '' ? '' : `${schema}:`}${name}${sub === '' ? '' : `.${sub}`}`;
}

test('every filter that can be written is read as it was meant', () => {
  fc.assert(
    fc.property(filter, (one) => {
      const text = format(one);
      fc.pre(text.length <= 4_096);
      expect(parseScimFilter(text)).toEqual(one);
    }),
    { verbose: 1, numRuns: 2_000 },
  );
});

test('any text is a filter or a clear refusal, and never anything else', () => {
  const soup = fc
    .array(
      fc.oneof(
        fc.constantFrom(' ', '(', ')', '[', ']', '"', 'eq', 'and', 'or', 'not', 'userName', '.', '\\'),
        fc.string(),
      ),
    )
    .map((parts) => parts.join(''));
  fc.assert(
    fc.property(soup, (text) => {
      try {
        matchesFilter(ADA, parseScimFilter(text));
      } catch (error) {
        expect(error).toBeInstanceOf(ScimError);
      }
    }),
    { verbose: 1, numRuns: 5_000 },
  );
});

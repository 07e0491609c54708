import fc from 'fast-check';
import { expect, test } from 'vitest';
import { checkPath } from '../src/path-grammar.ts';

function ruleOf(path: string, grammar: 'strict' | 'exact'): string {
  try {
    checkPath(path, grammar);
    return '';
  } catch (error) {
    return (error as Error).message;
  }
}

test('exact paths are whatever RFC 3986 allows', () => {
  const pchar = fc.oneof(
    fc.stringMatching(/^[A-Za-z0-9._~!$&'()*+,;=:@-]$/),
    fc.integer({ min: 0, max: 255 }).map((byte) => `%${byte.toString(16).padStart(2, '0')}`),
    fc.constant('/'),
  );
  const path = fc.array(pchar, { maxLength: 30 }).map((parts) => `/${parts.join('')}`);
  const query = fc.array(fc.oneof(pchar, fc.constant('?')), { maxLength: 10 }).map((parts) => `?${parts.join('')}`);
  fc.assert(
    fc.property(path, fc.option(query, { nil: '' }), (one, rest) => {
      expect(ruleOf(one + rest, 'exact')).toBe('');
    }),
    { numRuns: 5_000 },
  );
});

test('a plain path is judged by its segments alone', () => {
  const path = fc.stringMatching(/^[ab/._~-]{0,12}$/).map((rest) => `/${rest}`);
  fc.assert(
    fc.property(path, (one) => {
      const segments = one.slice(1).split('/');
      const bad = segments.some(
        (segment, i) => /^\.{1,2}$/.test(segment) || (segment === '' && i < segments.length - 1),
      );
      expect(ruleOf(one, 'strict') !== '').toBe(bad);
      expect(ruleOf(one, 'exact')).toBe('');
    }),
    { numRuns: 5_000 },
  );
});

test.each(['strict', 'exact'] as const)('a query may hold whatever browsers leave in it: %s', (grammar) => {
  const query = Array.from({ length: 0x7f - 0x21 }, (_, i) => String.fromCharCode(0x21 + i)).join('');
  expect(ruleOf(`/search?${query.replace('#', '')}`, grammar)).toBe('');
  expect(ruleOf('/search?path=C:\\Users\\ada&half=100%&account=CORP\\ada', grammar)).toBe('');
});

test.each(['strict', 'exact'] as const)('what is refused everywhere is named: %s', (grammar) => {
  expect(ruleOf('a', grammar)).toContain('does not start with /');
  expect(ruleOf('', grammar)).toContain('does not start with /');
  expect(ruleOf('http://internal/admin', grammar)).toContain('does not start with /');
  expect(ruleOf('/a#b', grammar)).toContain('fragment');
  expect(ruleOf('/a?b#c', grammar)).toContain('fragment');
  expect(ruleOf('/a\\b', grammar)).toContain('\\');
  expect(ruleOf('/a b', grammar)).toContain('percent-encoded');
  expect(ruleOf('/a?b c', grammar)).toContain('percent-encoded');
  expect(ruleOf('/ä', grammar)).toContain('percent-encoded');
  expect(ruleOf('/a?ä', grammar)).toContain('percent-encoded');
  expect(ruleOf('/a\r\nx: y', grammar)).toContain('percent-encoded');
  expect(ruleOf('/a%', grammar)).toContain('broken escape');
  expect(ruleOf('/a%2', grammar)).toContain('broken escape');
  expect(ruleOf('/%u002e', grammar)).toContain('broken escape');
});

test.each([
  '/%C4%AE.',
  '/%C4%AE%C4%AE/a',
  '/a%C4%AF..%C4%AFb',
  '/a/.%20.',
  '/a/+../b',
  '/a/..%20.',
  '/a/..:x/b',
  '/a/..%C3%A4/b',
  '/a/..%C2%A5b',
  '/a/..%E2%81%84b',
  '/a/%F0%9F%98%AE%F0%9F%98%AE',
])('strict paths hide no dots for who narrows characters or drops spaces: %s', (path) => {
  expect(ruleOf(path, 'strict')).toContain('dot segment');
});

test.each([
  '/%C4%AFsakymai',
  '/a/%E8%A1%93',
  '/a+b/c++',
  '/...',
  '/a/.well-known',
  '/1.2%203',
  '/1%E2%81%842',
  '/a/%C2%A5100',
  '/%F0%9F%98%AE',
])('%s hides none', (path) => {
  expect(ruleOf(path, 'strict')).toBe('');
});

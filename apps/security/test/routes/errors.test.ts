import { readFileSync } from 'node:fs';
import type { AccessErrorCode, StoreErrorCode } from '@sallyport/access';
import type { DirectoryErrorCode } from '@sallyport/directory';
import { OPERATIONS } from '@sallyport/security-api/admin';
import { PROBLEMS, type Problem } from '@sallyport/security-api/problems';
import { expect, test } from 'vitest';

test('every code of the rules, the store and the directories has a status and a title', () => {
  // The compiler says which one has none.
  const known: Readonly<Record<AccessErrorCode | StoreErrorCode | DirectoryErrorCode, Problem>> = PROBLEMS;
  for (const [code, { status, title }] of Object.entries(known)) {
    expect(status, code).toBeGreaterThanOrEqual(400);
    expect(title, code).not.toBe('');
  }
});

test('a store or a directory that does not answer is never read as "not there" or "not valid"', () => {
  for (const code of ['ERR_STORE_UNAVAILABLE', 'ERR_STORE_UNKNOWN', 'ERR_STORE_FENCED', 'ERR_STORE_SCHEMA'] as const)
    expect(PROBLEMS[code].status, code).toBe(503);
  expect(PROBLEMS.ERR_DIRECTORY_UNREACHABLE.status).toBe(503);
});

test('docs/errors.md says the statuses that answers have', () => {
  const document = readFileSync(new URL('../../../../docs/errors.md', import.meta.url), 'utf8');
  const rows = [...document.matchAll(/^\| `(ERR_\w+)` \| ([\d, ]+) \|/gm)].map(([, code, statuses]) => [
    code,
    statuses,
  ]);
  const table = Object.entries(PROBLEMS as Readonly<Record<string, Problem>>);
  expect(rows).toEqual(table.map(([code, { status, also = [] }]) => [code, [status, ...also].join(', ')]));
});

test('every code of an operator is one that some operation answers with, or all of them do', () => {
  const common = ['ERR_SECURITY_REQUEST', 'ERR_SECURITY_TEXT'];
  const ofProxies = ['ERR_SECURITY_JOIN', 'ERR_SECURITY_CSR'];
  const named = new Set<string>(OPERATIONS.flatMap(({ errors = [] }) => errors));
  const unnamed = Object.keys(PROBLEMS).filter((code) => code.startsWith('ERR_SECURITY_') && !named.has(code));
  expect(unnamed.sort()).toEqual([...common, ...ofProxies].sort());
});

import type { AccessErrorCode, StoreErrorCode } from '@sallyport/access';
import type { DirectoryErrorCode } from '@sallyport/directory';
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

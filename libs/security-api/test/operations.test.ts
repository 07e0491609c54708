import type { TObject } from 'typebox';
import { expect, test } from 'vitest';
import { OPERATIONS } from '../src/admin/index.ts';
import { PROBLEMS } from '../src/problems.ts';

test('every operation has an id and a place of its own, and says what it does', () => {
  expect(OPERATIONS.length).toBeGreaterThan(40);
  expect(new Set(OPERATIONS.map(({ id }) => id)).size).toBe(OPERATIONS.length);
  expect(new Set(OPERATIONS.map(({ method, path }) => `${method} ${path}`)).size).toBe(OPERATIONS.length);
  for (const { id, about } of OPERATIONS) {
    expect(id).toMatch(/^[a-z]+\.[a-z]+$/);
    expect(about, id).not.toBe('');
  }
});

test('the parameters of a path are those that have a form', () => {
  for (const { id, path, params } of OPERATIONS) {
    const named = [...path.matchAll(/:(\w+)/g)].map(([, name]) => name);
    expect(named, id).toEqual(Object.keys((params as TObject | undefined)?.properties ?? {}));
  }
});

test('what reads takes no reason and no body, and an answer of its own is none that every operation has', () => {
  const common = ['ERR_HTTP_INVALID', 'ERR_HTTP_INTERNAL', 'ERR_SECURITY_REQUEST'];
  for (const { id, method, reason, repeatable, body, errors = [] } of OPERATIONS) {
    if (method === 'GET') expect({ reason, repeatable, body }, id).toEqual({});
    for (const code of errors) expect(common, id).not.toContain(code);
    // Where the reason is a header, this goes without saying; a revocation has it in its body.
    expect(errors.includes('ERR_SECURITY_REASON'), id).toBe(id === 'revocations.put');
    for (const code of errors) expect(PROBLEMS, id).toHaveProperty([code]);
    expect(new Set(errors).size, id).toBe(errors.length);
  }
});

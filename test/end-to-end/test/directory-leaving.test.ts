import { afterAll, beforeAll, expect, test } from 'vitest';
import { Company } from '../src/directory/ways-out.ts';

const WAYS = [
  'SCIM: active = false',
  'SCIM: DELETE user',
  'SCIM: out of the group',
  'OIDC: back-channel logout',
  'LDAP: deleted, by the sync',
  'operator: user disable',
];
let company: Company;

beforeAll(async () => {
  company = await Company.start(100);
});
afterAll(() => company.stop());

test('these are all ways of leaving', () => {
  expect(Object.keys(company.ways)).toEqual(WAYS);
});

test.each(WAYS)('%s: in the middle of work, nothing is served after the acknowledgement', async (way) => {
  for (let i = 0; i < 3; i++) {
    const { requestAfterMs } = await company.ways[way]!();
    expect(requestAfterMs).toBeLessThanOrEqual(0);
  }
});

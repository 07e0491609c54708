import type { Grant } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { SharedResources } from '../src/serving/shared-resources.ts';

const grant = (assertion: string, url = 'http://10.0.0.1') =>
  ({
    resources: [
      { name: 'wiki', kind: 'http', authority: 'wiki.corp', backend: { url, networks: [] }, rules: [], assertion },
      { name: 'db', kind: 'tcp', authority: 'db.corp', backend: { url: 'tcp://10.0.0.2:1', networks: [] }, rules: [] },
    ],
  }) as unknown as Grant;

test('equal resources share their parts, but each session keeps its own assertion', () => {
  const shared = new SharedResources();
  const [ada, bob, eve] = [
    shared.share(grant('ada')),
    shared.share(grant('bob')),
    shared.share(grant('eve', 'http://x')),
  ];
  expect([ada, bob]).toEqual([grant('ada'), grant('bob')]);
  expect(ada.resources[0]!.backend).toBe(bob.resources[0]!.backend);
  expect(ada.resources[1]).toBe(bob.resources[1]);
  expect(eve).toEqual(grant('eve', 'http://x'));
  expect(eve.resources[0]!.backend).not.toBe(ada.resources[0]!.backend);
});

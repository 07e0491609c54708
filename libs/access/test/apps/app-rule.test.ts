import type { ContextRule, ResourceGrant } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { appIdOf, openToUpdate, ruleChangesAt, ruleForApp } from '../../src/apps/app-rule.ts';
import { sampleApp } from '../sample-app.ts';

const [AA, BB] = ['aa'.repeat(32), 'bb'.repeat(32)] as const;
const USE = { id: 'app', groups: ['staff'], now: 1_000 };
const ANDROID = [{ os: 'android', minOsVersion: '12' }];

test.each([
  ['an app for everybody', sampleApp('app'), {}, [{ id: 'app' }]],
  ['an app that is not registered', sampleApp('other'), {}, []],
  ['an app that was removed', sampleApp('app', { removedAt: 1 }), {}, []],
  ['an app of a group of the user', sampleApp('app', { groups: ['staff'] }), {}, [{ id: 'app' }]],
  ['an app of other groups', sampleApp('app', { groups: ['board'] }), {}, []],
  ['an app for nobody', sampleApp('app', { groups: [] }), {}, []],
  ['signers', sampleApp('app', { signers: [AA] }), {}, [{ id: 'app', signers: [AA] }]],
  ['systems', sampleApp('app', { platforms: ANDROID }), {}, [{ id: 'app', platforms: ANDROID }]],
  [
    'a minimum whose day has come',
    sampleApp('app', { minimum: { version: '2', from: 1_000 } }),
    {},
    [{ id: 'app', minVersion: '2' }],
  ],
  ['a minimum of another day', sampleApp('app', { minimum: { version: '2', from: 1_001 } }), {}, [{ id: 'app' }]],
  ['versions that are revoked', sampleApp('app', { blocked: ['3'] }), {}, [{ id: 'app', notVersions: ['3'] }]],
  [
    'all versions below one, and what the realm says of others',
    sampleApp('app', { blocked: ['3'], blockedBelow: '3' }),
    { apps: [{ id: 'app', notVersions: ['2', '4'], notBelow: '1' }] },
    [{ id: 'app', notVersions: ['3', '4'], notBelow: '3' }],
  ],
  [
    'versions that either does not take',
    sampleApp('app', { blocked: ['3', '4'] }),
    { apps: [{ id: 'app', notVersions: ['4', '5'] }] },
    [{ id: 'app', notVersions: ['3', '4', '5'] }],
  ],
  ['a realm that asks for another app', sampleApp('app'), { apps: [{ id: 'other' }] }, []],
  ['a realm that asks for no app', sampleApp('app'), { apps: [] }, []],
  [
    'the signers that both take',
    sampleApp('app', { signers: [AA, BB] }),
    { apps: [{ id: 'app', signers: [BB] }] },
    [{ id: 'app', signers: [BB] }],
  ],
  [
    'no signer that both take',
    sampleApp('app', { signers: [AA] }),
    { apps: [{ id: 'app', signers: [BB] }] },
    [{ id: 'app', signers: [] }],
  ],
  [
    'the higher one of two versions',
    sampleApp('app', { minimum: { version: '1.10', from: 0 } }),
    { apps: [{ id: 'app', minVersion: '1.9' }] },
    [{ id: 'app', minVersion: '1.10' }],
  ],
] as const)('a rule for an app: %s', (_what, app, realm, expected) => {
  const rule = ruleForApp({ ...(realm as ContextRule), os: ['android'] }, [app], USE);
  expect(rule).toEqual({ os: ['android'], apps: expected });
});

test('systems that both take are those of both, each from the higher version', () => {
  const platforms = [{ os: 'android', minOsVersion: '12' }, { os: 'ios' }];
  const realm = { apps: [{ id: 'app', platforms: [{ os: 'android', minOsVersion: '14' }, { os: 'linux' }] }] };
  const rule = ruleForApp(realm, [sampleApp('app', { platforms })], USE);
  expect(rule.apps).toEqual([{ id: 'app', platforms: [{ os: 'android', minOsVersion: '14' }] }]);
});

/** A resource that one policy opens, with a rule for app contexts. */
function opened(authority: string, context: ContextRule = {}): ResourceGrant {
  const backend = { url: 'http://127.0.0.1:1', networks: [] };
  return { name: authority, kind: 'http', authority, backend, rules: [{ policy: 'p', context }] };
}

test('a version that is too old is let to its updates and to nothing else', () => {
  const rule: ContextRule = { os: ['android'], apps: [{ id: 'app', signers: [AA], minVersion: '2' }] };
  const updates = opened('updates.sallyport', { apps: [{ id: 'app' }] });
  const others = [
    opened('wiki.corp'),
    opened('*.sallyport'),
    opened('own.corp', { os: ['ios'], apps: [{ id: 'app', minVersion: '3' }, { id: 'other' }] }),
  ];
  const made = openToUpdate(rule, [updates, ...others]);
  expect(made.context).toEqual({ os: ['android'], apps: [{ id: 'app', signers: [AA] }] });
  expect(made.resources.map(({ rules }) => rules[0]!.context)).toEqual([
    { apps: [{ id: 'app' }] },
    { apps: [{ id: 'app', signers: [AA], minVersion: '2' }] },
    { apps: [{ id: 'app', signers: [AA], minVersion: '2' }] },
    { os: ['ios'], apps: [{ id: 'app', signers: [AA], minVersion: '3' }] },
  ]);
  // Who gets no updates, or whose version is not too old, is judged by the rule of all, as ever.
  expect(openToUpdate(rule, others)).toEqual({ context: rule, resources: others });
  const young = { apps: [{ id: 'app' }] };
  expect(openToUpdate(young, [updates, ...others])).toEqual({ context: young, resources: [updates, ...others] });
});

test('a minimum with a day changes the rule on that day, and never again', () => {
  const apps = [sampleApp('app', { minimum: { version: '2', from: 5_000 } })];
  expect(ruleChangesAt(apps, USE)).toBe(5_000);
  expect(ruleChangesAt(apps, { ...USE, now: 5_000 })).toBeUndefined();
  expect(ruleChangesAt([sampleApp('app')], USE)).toBeUndefined();
});

test('the id of an app is what stands before its version', () => {
  expect(appIdOf('com.example.app@1.2.3')).toBe('com.example.app');
});

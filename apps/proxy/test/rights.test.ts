import type { AppContext } from '@sallyport/channel';
import type { Grant, ResourceGrant } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { decide } from '../src/serving/rights.ts';

const CONTEXT: AppContext = {
  id: 'app',
  version: '2.0',
  build: '',
  signer: new Uint8Array(32),
  os: '',
  osVersion: '',
  osPatch: '',
  model: '',
  sdk: '',
  posture: { rooted: false },
};
const CLAIMS = { evidence: undefined, context: CONTEXT, address: '192.0.2.7', country: 'DE' };

function grant(rules: ResourceGrant['rules'], context: Grant['context'] = {}): Grant {
  const resource = {
    name: 'wiki',
    kind: 'http' as const,
    authority: 'wiki.corp',
    backend: { url: 'http://x', networks: [] },
    rules,
  };
  return {
    realm: 'main',
    sid: 'a'.repeat(32),
    epoch: 'e'.repeat(32),
    app: 'app@1',
    generation: 0,
    asOf: 0,
    expiresInMs: 1,
    refreshInMs: 1,
    sessionCreatedAt: 0,
    userId: 'u',
    userName: 'u',
    groups: [],
    installationId: 'i',
    context,
    resources: [resource],
    limits: { openBurst: 1, openRate: 1 },
  };
}

const GET = { kind: 'http', authority: 'wiki.corp', method: 'GET', path: '/a/b?c' } as const;
const rule = (over: Partial<ResourceGrant['rules'][number]> = {}) => ({ policy: 'p', context: {}, ...over });

/** The same with exact paths. */
function exact(rules: ResourceGrant['rules']): Grant {
  const given = grant(rules);
  const [resource] = given.resources;
  return { ...given, resources: [{ ...resource!, backend: { ...resource!.backend, paths: 'exact' } }] };
}

test.each<[string, Grant, Partial<typeof GET>, string | undefined]>([
  ['an open rule', grant([rule()]), {}, undefined],
  ['no rule', grant([]), {}, 'REQUEST_REFUSED'],
  ['another authority', grant([rule()]), { authority: 'other.corp' as 'wiki.corp' }, 'RESOURCE_UNKNOWN'],
  ['another kind', grant([rule()]), { kind: 'tcp' as 'http' }, 'RESOURCE_UNKNOWN'],
  ['a method not named', grant([rule({ methods: ['POST'] })]), {}, 'REQUEST_REFUSED'],
  ['a path inside', grant([rule({ paths: ['/a'] })]), {}, undefined],
  ['a path beside', grant([rule({ paths: ['/aa'] })]), {}, 'REQUEST_REFUSED'],
  [
    'a context that fits one of two rules',
    grant([rule({ context: { os: ['x'] } }), rule({ context: { posture: { rooted: false } } })]),
    {},
    undefined,
  ],
  ['a context that fits none', grant([rule({ context: { posture: { managed: true } } })]), {}, 'CONTEXT_DENIED'],
  [
    'a version too old',
    grant([rule({ context: { apps: [{ id: 'app', minVersion: '3' }] } })]),
    {},
    'APP_UPDATE_REQUIRED',
  ],
  ["a context that the realm's own rule refuses", grant([rule()], { os: ['android'] }), {}, 'CONTEXT_DENIED'],
  ['a network that the device is in', grant([rule({ networks: ['192.0.2.0/24'] })]), {}, undefined],
  ['a network that it is not in', grant([rule({ networks: ['10.0.0.0/8'] })]), {}, 'CONTEXT_DENIED'],
  ['a country that the device is in', grant([rule({ countries: ['AT', 'DE'] })]), {}, undefined],
  ['a country that it is not in', grant([rule({ countries: ['FR'] })]), {}, 'CONTEXT_DENIED'],
  ['a country that is forbidden', grant([rule({ notCountries: ['DE'] })]), {}, 'CONTEXT_DENIED'],
  [
    'a network in a country, and it is in one of them only',
    grant([rule({ countries: ['DE'], networks: ['10.0.0.0/8'] })]),
    {},
    'CONTEXT_DENIED',
  ],
  ['a network that is forbidden', grant([rule({ notNetworks: ['192.0.2.7/32'] })]), {}, 'CONTEXT_DENIED'],
  [
    'a network that one of two rules demands',
    grant([rule({ networks: ['10.0.0.0/8'] }), rule({ notNetworks: ['10.0.0.0/8'] })]),
    {},
    undefined,
  ],
  [
    'rules that do not mix: one for the path, another for the network',
    grant([rule({ paths: ['/x'] }), rule({ networks: ['10.0.0.0/8'] })]),
    {},
    'CONTEXT_DENIED',
  ],
  [
    'rules that do not mix: one for the path, another for the context',
    grant([rule({ paths: ['/x'] }), rule({ context: { os: ['x'] } })]),
    {},
    'CONTEXT_DENIED',
  ],
])('%s', (_what, given, over, refused) => {
  const decision = decide(given, CLAIMS, { ...GET, ...over });
  expect('refused' in decision ? decision.refused : undefined).toBe(refused);
});

test('a wildcard opens the names under it, the nearest resource wins, and no name of another resource', () => {
  const one = grant([rule()]).resources[0]!;
  const resources = [
    { ...one, name: 'all', authority: '*.corp', except: ['hr.corp', '*.secret.corp', '*.dev.corp'] },
    { ...one, name: 'dev', authority: '*.dev.corp' },
    { ...one, name: 'wiki', authority: 'wiki.corp' },
  ];
  const asked = (authority: string, kind: 'http' | 'tcp' = 'http') => {
    const decision = decide({ ...grant([]), resources }, CLAIMS, { ...GET, kind, authority });
    return 'resource' in decision ? decision.resource.name : decision.refused;
  };
  expect(['wiki.corp', 'a.corp', 'a.b.corp', 'x.dev.corp', 'dev.corp'].map((name) => asked(name))).toEqual([
    'wiki',
    'all',
    'all',
    'dev',
    'all',
  ]);
  for (const name of ['corp', 'acorp', 'hr.corp', 'a.secret.corp', 'a.corp:81', '*.corp'])
    expect(asked(name), name).toBe('RESOURCE_UNKNOWN');
  expect(asked('a.corp', 'tcp')).toBe('RESOURCE_UNKNOWN');
  expect(asked('x.hr.corp')).toBe('all');
});

test.each<[string, Grant, Partial<typeof GET>, string | undefined]>([
  [
    'a method that the policy names',
    grant([rule({ methods: ['PROPFIND'] })]),
    { method: 'PROPFIND' as 'GET' },
    undefined,
  ],
  [
    'a method that none names',
    grant([rule(), rule({ methods: ['REPORT'], paths: ['/x'] })]),
    { method: 'PROPFIND' as 'GET' },
    'no policy opens the method (PROPFIND)',
  ],
  [
    'a path that only exact resources take',
    grant([rule()]),
    { path: '/a%2Fb' as '/a/b?c' },
    'the path hides a separator in an escape; a resource with exact paths takes it',
  ],
  ['the same at one', exact([rule()]), { path: '/a%2F..//%00/' as '/a/b?c' }, undefined],
  [
    'a path rule that every reading fits',
    exact([rule({ paths: ['/a'] })]),
    { path: '/a/b%2Fc' as '/a/b?c' },
    undefined,
  ],
  [
    'readings that different rules open',
    exact([rule({ paths: ['/a/'] }), rule({ paths: ['/b'] })]),
    { path: '/a/..%2Fb' as '/a/b?c' },
    undefined,
  ],
  [
    'a path rule that some reading does not fit',
    exact([rule({ paths: ['/a'] })]),
    { path: '/a/..%2Fb' as '/a/b?c' },
    'no policy opens this method and path when its dot segments are resolved',
  ],
  [
    'readings that only a rule opens whose context does not fit',
    exact([rule({ paths: ['/a'] }), rule({ paths: ['/b'], context: { os: ['x'] } })]),
    { path: '/a/..%2Fb' as '/a/b?c' },
    'no policy opens this method and path when its dot segments are resolved',
  ],
  ['no rule for the path', exact([rule({ paths: ['/x'] })]), {}, 'no policy opens this method and path'],
])('the rule that refuses %s is named', (_what, given, over, why) => {
  const decision = decide(given, CLAIMS, { ...GET, ...over });
  expect('refused' in decision ? decision.rule : undefined).toBe(why);
});

test.each([
  ['/a%2Fb/../c', undefined],
  ['/../admin', 'no policy opens this method and path when its dot segments are resolved'],
  ['/a/..%2F..%2Fadmin', 'no policy opens this method and path when its dot segments are resolved'],
])('no exact path leaves the prefix of its backend, whatever the rules: %s', (path, why) => {
  const [resource] = exact([rule()]).resources;
  const backend = { ...resource!.backend, prefix: '/app' };
  for (const rules of [[rule()], [rule({ paths: ['/'] })]]) {
    const decision = decide({ ...grant([]), resources: [{ ...resource!, backend, rules }] }, CLAIMS, {
      ...GET,
      path: path as '/a/b?c',
    });
    expect('refused' in decision ? decision.rule : undefined).toBe(why);
  }
});

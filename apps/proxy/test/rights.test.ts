import type { AppContext } from '@sallyport/channel';
import type { Grant, ResourceGrant } from '@sallyport/security-api';
import { expect, test } from 'vitest';
import { decide } from '../src/rights.ts';

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
  [
    'rules that do not mix: one for the path, another for the context',
    grant([rule({ paths: ['/x'] }), rule({ context: { os: ['x'] } })]),
    {},
    'CONTEXT_DENIED',
  ],
])('%s', (_what, given, over, refused) => {
  const decision = decide(given, CONTEXT, { ...GET, ...over });
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
    const decision = decide({ ...grant([]), resources }, CONTEXT, { ...GET, kind, authority });
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

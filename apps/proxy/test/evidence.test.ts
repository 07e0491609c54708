import type { AppContext, Evidence } from '@sallyport/channel';
import type { Grant } from '@sallyport/security-api';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { EvidenceAsk, type EvidenceHost, mayFreshEvidenceHelp, ProvenContext } from '../src/device/evidence.ts';
import { Gate, type Judge } from '../src/serving/gate.ts';
import { type Decision, decide } from '../src/serving/rights.ts';

const CLAIMED: AppContext = {
  id: 'com.example.app',
  version: '1.2',
  build: '1',
  signer: new Uint8Array(32).fill(9),
  os: 'android',
  osVersion: '16',
  osPatch: '2026-11-05',
  model: 'claimed',
  posture: { rooted: false, lockScreen: true },
  sdk: 'test',
};
const WANTED = { kind: 'http', authority: 'wiki.corp', method: 'GET', path: '/a' } as const;
const MINUTE = 60_000;
/** 15 minutes, hardware. */
const ATTESTED = { withinMs: 15 * MINUTE, level: 'hardware' } as const;

type Verdict = NonNullable<Grant['verdict']>;
const VERDICT: Verdict = { connector: 'android-key', level: 'hardware', ageMs: MINUTE, facts: {} };

/** A grant with a resource for each context rule. */
function grantOf(verdict: Verdict | undefined, rule: Grant['context'] = { attested: ATTESTED }, realm = {}): Grant {
  const backend = { url: 'http://x', networks: [] };
  const resource = { name: 'wiki', kind: 'http', authority: 'wiki.corp', backend };
  const resources = [{ ...resource, rules: [{ policy: 'p', context: rule }] }];
  return { context: realm, resources, ...(verdict ? { verdict } : {}) } as unknown as Grant;
}

/** What a request gets at a moment after the grant came. */
function decided(grant: Grant, afterMs = 0, claimed: AppContext = CLAIMED): string {
  const proven = new ProvenContext(grant, claimed, 0);
  const decision = decide(
    grant,
    { context: proven.context, evidence: proven.standing(afterMs), address: '192.0.2.1' },
    WANTED,
  );
  return 'resource' in decision ? 'open' : decision.refused;
}

const RULES: readonly [what: string, verdict: Partial<Verdict> | undefined, afterMs: number, expected: string][] = [
  ['no evidence', undefined, 0, 'ATTESTATION_REQUIRED'],
  ['evidence that is young and strong enough', {}, 0, 'open'],
  ['evidence of exactly the age', {}, 14 * MINUTE, 'open'],
  ['evidence older than the policy allows', {}, 14 * MINUTE + 1, 'ATTESTATION_REQUIRED'],
  ['evidence that was too old when it came', { ageMs: 16 * MINUTE }, 0, 'ATTESTATION_REQUIRED'],
  ['weaker evidence', { level: 'platform' }, 0, 'ATTESTATION_REQUIRED'],
  ['evidence of software', { level: 'software' }, 0, 'ATTESTATION_REQUIRED'],
];

test.each(RULES)(
  'with %s a rule that demands hardware within 15 minutes is judged right',
  (_, over, afterMs, expected) => {
    const verdict = over && { ...VERDICT, ...over };
    expect(decided(grantOf(verdict), afterMs)).toBe(expected);
    expect(decided(grantOf(verdict, {}, { attested: ATTESTED }), afterMs)).toBe(expected);
  },
);

test('a weaker rule takes stronger evidence', () => {
  for (const level of ['software', 'platform', 'hardware'] as const)
    expect(decided(grantOf(VERDICT, { attested: { ...ATTESTED, level } }))).toBe('open');
});

const OVERRIDDEN: readonly [what: string, rule: Grant['context'], facts: Verdict['facts'], expected: string][] = [
  ['the app', { apps: [{ id: 'com.example.app' }] }, { id: 'com.example.evil' }, 'CONTEXT_DENIED'],
  [
    'the signer',
    { apps: [{ id: 'com.example.app', signers: ['09'.repeat(32)] }] },
    { signers: ['aa'.repeat(32)] },
    'CONTEXT_DENIED',
  ],
  [
    'several signers, the claimed among them',
    { apps: [{ id: 'com.example.app', signers: ['09'.repeat(32)] }] },
    { signers: ['aa'.repeat(32), '09'.repeat(32)] },
    'open',
  ],
  [
    'no signer at all',
    { apps: [{ id: 'com.example.app', signers: ['09'.repeat(32)] }] },
    { signers: [] },
    'CONTEXT_DENIED',
  ],
  ['the system', { os: ['android'] }, { os: 'ios' }, 'CONTEXT_DENIED'],
  ['its version', { minOsVersion: '16' }, { osVersion: '15.0.0' }, 'CONTEXT_DENIED'],
  ['an old patch level', { minOsPatch: '2026-10' }, { osPatch: '2026-09' }, 'CONTEXT_DENIED'],
  ['a patch level of the month', { minOsPatch: '2026-10' }, { osPatch: '2026-10' }, 'open'],
  ['posture', { posture: { rooted: false } }, { posture: { rooted: true } }, 'CONTEXT_DENIED'],
  ['other posture, which stays a claim', { posture: { lockScreen: true } }, { posture: { rooted: false } }, 'open'],
];

test.each(OVERRIDDEN)('what is proved takes the place of what is claimed: %s', (_, rule, facts, expected) => {
  expect(decided(grantOf(undefined, rule))).toBe('open');
  expect(decided(grantOf({ ...VERDICT, facts }, rule))).toBe(expected);
});

test('when evidence becomes too old is known beforehand, for the rule that is next', () => {
  const grant = grantOf(VERDICT, { attested: ATTESTED }, { attested: { withinMs: 5 * MINUTE, level: 'platform' } });
  const proven = new ProvenContext(grant, CLAIMED, 1_000);
  expect(proven.endAfter(1_000)).toBe(1_001 + 4 * MINUTE);
  expect(proven.endAfter(1_001 + 4 * MINUTE)).toBe(1_001 + 14 * MINUTE);
  expect(proven.endAfter(1_001 + 14 * MINUTE)).toBe(Number.POSITIVE_INFINITY);
  expect(new ProvenContext(grantOf(undefined), CLAIMED, 0).endAfter(0)).toBe(Number.POSITIVE_INFINITY);
});

test('a device that was updated since is asked again before old proof refuses it; fresh proof stands', () => {
  const old = { level: 'hardware', ageMs: MINUTE } as const;
  const fresh = { level: 'hardware', ageMs: MINUTE - 1 } as const;
  const yes = (): boolean => true;
  expect(mayFreshEvidenceHelp('ATTESTATION_REQUIRED', undefined, yes)).toBe(true);
  expect(mayFreshEvidenceHelp('CONTEXT_DENIED', old, yes)).toBe(true);
  expect(mayFreshEvidenceHelp('APP_UPDATE_REQUIRED', old, yes)).toBe(true);
  expect(mayFreshEvidenceHelp('CONTEXT_DENIED', fresh, yes)).toBe(false);
  expect(mayFreshEvidenceHelp('CONTEXT_DENIED', undefined, yes)).toBe(false);
  expect(mayFreshEvidenceHelp('CONTEXT_DENIED', old, () => false)).toBe(false);
  expect(mayFreshEvidenceHelp('RESOURCE_UNKNOWN', old, yes)).toBe(false);
});

const CHALLENGE = new Uint8Array(44).fill(5);
const EVIDENCE: Evidence = { challenge: CHALLENGE, connector: 'software', statement: new Uint8Array(0), proof: '' };

beforeEach(() => vi.useFakeTimers());
afterEach(() => {
  vi.restoreAllMocks();
  vi.useRealTimers();
});

/** An ask whose channel, device and Security are what a test says. */
function asked(over: Partial<EvidenceHost> = {}) {
  const heard: string[] = [];
  const state = { provedAt: Number.NEGATIVE_INFINITY };
  const ask: EvidenceAsk = new EvidenceAsk({
    provedAt: () => state.provedAt,
    reread: async () => void heard.push('reread'),
    challenge: async () => CHALLENGE,
    tell: () => void heard.push('tell'),
    deliver: async () => {
      heard.push('deliver');
      return true;
    },
    settled: () => void heard.push('settled'),
    failed: () => void heard.push('failed'),
    ...over,
  });
  return { ask, heard, state };
}
const soon = (): Promise<unknown> => vi.advanceTimersByTimeAsync(0);

test('a device is asked once, by a fresh challenge, and whoever waits goes on together', async () => {
  const { ask, heard } = asked();
  const went: string[] = [];
  expect([ask.ask(0), ask.ask(0)]).toEqual([true, true]);
  ask.whenOver(() => went.push('first'));
  ask.whenOver(() => went.push('second'));
  await soon();
  expect(heard).toEqual(['reread', 'tell']);
  ask.answered({ ...EVIDENCE, challenge: new Uint8Array(44) });
  await soon();
  expect(went).toEqual([]);
  ask.answered(EVIDENCE);
  await soon();
  expect(heard).toEqual(['reread', 'tell', 'deliver', 'reread', 'settled']);
  expect(went).toEqual(['first', 'second']);
  expect(ask.isRejected).toBe(false);
});

test('evidence that another channel has brought meanwhile is enough', async () => {
  const { ask, heard, state } = asked({
    reread: async () => {
      state.provedAt = 60_000;
    },
  });
  ask.ask(0);
  await soon();
  expect(heard).toEqual(['settled']);
});

const VAIN: readonly [what: string, over: Partial<EvidenceHost>, waitMs: number][] = [
  ['a device that never answers', {}, 20_000],
  ['a channel that is over at Security', { challenge: async () => undefined }, 0],
  ['Security that is away', { challenge: () => Promise.reject(new Error('away')) }, 0],
];

test.each(VAIN)('%s keeps nobody waiting for ever, and is not asked again at once', async (_, over, waitMs) => {
  const { ask } = asked(over);
  const went: string[] = [];
  expect(ask.ask(performance.now())).toBe(true);
  ask.whenOver(() => went.push('went'));
  await vi.advanceTimersByTimeAsync(waitMs);
  expect(went).toEqual(['went']);
  expect(ask.ask(performance.now())).toBe(false);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(ask.ask(performance.now())).toBe(true);
});

test('evidence that Security refuses is told from none', async () => {
  const { ask } = asked({ deliver: async () => false });
  ask.ask(0);
  await soon();
  ask.answered(EVIDENCE);
  await soon();
  expect(ask.isRejected).toBe(true);
});

test('a channel that ends leaves nobody waiting and no timer', async () => {
  const [begun, cleared] = [vi.spyOn(globalThis, 'setTimeout'), vi.spyOn(globalThis, 'clearTimeout')];
  const { ask, heard } = asked();
  ask.ask(0);
  await soon();
  ask.end();
  await soon();
  expect(heard).toContain('settled');
  // What else lives in this process has timers of its own.
  const waits = begun.mock.results.filter((_, i) => begun.mock.calls[i]![1] === 20_000).map(({ value }) => value);
  expect(waits).toHaveLength(1);
  expect(cleared.mock.calls.flat().includes(waits[0])).toBe(true);
});

test('a gate waits while fresh evidence is asked for, and then opens or refuses', () => {
  const waiting: (() => void)[] = [];
  const state = { decision: { asked: true } as Decision, rights: 1 };
  const judge: Judge = {
    get rights() {
      return state.rights;
    },
    decide: () => state.decision,
    mayServe: () => true,
    whenReady: (work) => work(),
    whenProved: (work) => void waiting.push(work),
    refused: () => undefined,
  };
  const heard: string[] = [];
  const passer = {
    over: false,
    admitted: () => void heard.push('admitted'),
    pass: () => void heard.push('pass'),
    refuse: (code: string) => void heard.push(code),
  };
  const gate = new Gate<object, object>(judge, passer, WANTED);
  gate.enter();
  expect([heard, gate.look(), gate.recheck()]).toEqual([[], 'wait', undefined]);
  state.rights = 2;
  state.decision = { refused: 'ATTESTATION_REQUIRED' };
  for (const work of waiting.splice(0)) work();
  expect(heard).toEqual(['ATTESTATION_REQUIRED']);
  state.rights = 3;
  state.decision = { asked: true };
  gate.enter();
  state.rights = 4;
  state.decision = { resource: { rules: [] } } as unknown as Decision;
  for (const work of waiting.splice(0)) work();
  expect(heard).toEqual(['ATTESTATION_REQUIRED', 'admitted']);
  gate.begin();
  state.rights = 5;
  state.decision = { refused: 'ATTESTATION_REJECTED' };
  expect(gate.recheck()).toBe('RIGHTS_LOST');
});

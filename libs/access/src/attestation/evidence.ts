import { type Evidence, evidenceBinding, evidenceHash } from '@sallyport/channel';
import { type EvidenceVerdict, SPENT_EVIDENCE_MS } from '@sallyport/security-api';
import { appIdOf } from '../apps/app-rule.ts';
import type { AccessContext } from '../realm/context.ts';
import { getRealm, settingsOf } from '../realm/realm.ts';
import type { InstallationRow, SessionRow } from '../session/rows.ts';
import type { Transaction } from '../store/store.ts';
import type { Attestation, AttestedKey, EvidenceFault, Proven, Unproven } from './attestation.ts';
import { readChallenge } from './challenge.ts';
import type { EvidenceRow } from './rows.ts';

/** Faults that say that the device is not what it was: what was proved before counts no more. Others may be an accident on the way. */
const SPEAK_AGAINST: ReadonlySet<EvidenceFault> = new Set([
  'certificate-revoked',
  'boot-unverified',
  'app-unrecognised',
  'device-unrecognised',
]);

/** Verifies a proof of an installation's signing key over a binding (SPEC.md, section 3). */
export type VerifyProof = (of: {
  readonly binding: Uint8Array;
  readonly signingKey: InstallationRow['signingKey'];
  readonly proof: string;
  readonly iid: string;
}) => Promise<boolean>;

/** Who sends evidence, and what verifies it. */
export interface EvidenceParts {
  readonly session: Pick<SessionRow, 'app'>;
  readonly installation: InstallationRow;
  readonly attestation: Attestation;
  readonly verifyProof: VerifyProof;
}

/** Whether evidence was taken. */
export type EvidenceOutcome =
  | { readonly taken: true; readonly row: EvidenceRow }
  | ({ readonly taken: false } & Unproven);

/**
 * Verifies evidence and keeps it, in place of what was proved before. The checks, in their order: the challenge is ours, of this installation and
 * fresh; the installation's key signed it; the connector verifies it, for this app; and under the row's lock that neither the
 * challenge nor the counter of the platform's key was used by other evidence meanwhile.
 */
export async function takeEvidence(
  access: AccessContext,
  evidence: Evidence,
  parts: EvidenceParts,
): Promise<EvidenceOutcome> {
  const { installation } = parts;
  const seen = await access.store.transaction(async (transaction) => ({
    now: transaction.now(),
    production: settingsOf(await getRealm(transaction)).production,
    row: await transaction.tables.evidence.find({ installationId: installation.id }),
  }));
  const challenge = readChallenge(access, evidence.challenge, { installationId: installation.id, now: seen.now });
  if ('fault' in challenge) return { taken: false, ...challenge };
  if (evidence.connector === 'software' && seen.production) return { taken: false, fault: 'software-refused' };
  const outcome = await verified(access, evidence, { ...parts, row: seen.row, now: seen.now });
  return access.store.transaction((transaction) =>
    keep(transaction, { installation, evidence, outcome, madeAt: challenge.madeAt }),
  );
}

async function verified(
  access: AccessContext,
  { challenge, connector, statement, proof }: Evidence,
  of: EvidenceParts & { readonly row: EvidenceRow | undefined; readonly now: number },
): Promise<Proven | Unproven> {
  const { installation, session, attestation, verifyProof, row, now } = of;
  const { id: iid, signingKey } = installation;
  const { crypto, store } = access;
  const bound = evidenceHash(crypto, { realm: store.realm, challenge, iid, signingKey });
  const binding = evidenceBinding(crypto, { hash: bound, connector, statement });
  if (!(await verifyProof({ binding, signingKey, proof, iid }))) return { fault: 'proof-wrong' };
  return attestation.verify({ connector, statement, bound, app: appIdOf(session.app), key: keyOfRow(row), now });
}

function keyOfRow(row: EvidenceRow | undefined): AttestedKey | undefined {
  if (!row || row.keyId === null || row.publicKey === null) return undefined;
  return { id: row.keyId, publicKey: row.publicKey, counter: row.counter };
}

interface Kept {
  readonly installation: InstallationRow;
  readonly evidence: Evidence;
  readonly outcome: Proven | Unproven;
  readonly madeAt: number;
}

async function keep(
  { tables, now }: Transaction,
  { installation, evidence, outcome, madeAt }: Kept,
): Promise<EvidenceOutcome> {
  const key = { installationId: installation.id };
  // The installation's lock orders evidence of one device, also the first, of which there is no row to lock.
  await tables.installations.find({ id: installation.id }, 'update');
  const before = await tables.evidence.find(key, 'update');
  if (before && madeAt <= before.challengedAt) return { taken: false, fault: 'challenge-used' };
  const proven = 'fault' in outcome ? undefined : outcome;
  const next = proven?.key;
  // Only a key that was attested just now begins at 0: what another one signed was verified by a row that is not there any more.
  if (next && next.counter > 0 && before?.keyId !== next.id) return { taken: false, fault: 'key-other' };
  if (next && before?.keyId === next.id && next.counter <= before.counter && next.counter > 0)
    return { taken: false, fault: 'counter-old' };
  if ('fault' in outcome && !(before && SPEAK_AGAINST.has(outcome.fault))) return { taken: false, ...outcome };
  const row: EvidenceRow = {
    ...key,
    connector: evidence.connector,
    level: proven?.level ?? null,
    at: now(),
    facts: factsAfter(before, proven),
    challengedAt: madeAt,
    keyId: next?.id ?? before?.keyId ?? null,
    publicKey: next?.publicKey ?? before?.publicKey ?? null,
    counter: next && next.id !== before?.keyId ? next.counter : Math.max(next?.counter ?? 0, before?.counter ?? 0),
  };
  const { installationId: _, ...columns } = row;
  if (before) await tables.evidence.update({ where: key }, columns);
  else await tables.evidence.insert(row);
  return 'fault' in outcome ? { taken: false, ...outcome } : { taken: true, row };
}

/** What was proved takes the place of claims until something else is proved: neither a fault nor the app's own word makes it a claim again. */
function factsAfter(before: EvidenceRow | undefined, proven: Proven | undefined): EvidenceRow['facts'] {
  return proven && proven.level !== 'software' ? proven.facts : (before?.facts ?? proven?.facts ?? {});
}

/** The newest evidence as a grant carries it, spent where it counts for nothing but its facts; undefined where it has none either. */
export function verdictOf(
  row: EvidenceRow | undefined,
  { now, production }: { readonly now: number; readonly production: boolean },
): EvidenceVerdict | undefined {
  if (!row) return undefined;
  const { connector, level, facts, at } = row;
  if (level !== null && !(production && level === 'software'))
    return { connector, level, ageMs: Math.max(0, now - at), facts };
  if (Object.keys(facts).length === 0) return undefined;
  return { connector, level: 'software', ageMs: SPENT_EVIDENCE_MS, facts };
}

import { existsSync } from 'node:fs';
import type { Diagnosis, WaitLimits } from '@sallyport/doctor';
import { status } from '@sallyport/security-api/admin';
import { AdminClient, AdminError } from '@sallyport/security-client/admin';
import { loadProfile, type OperatorProfile } from '../profile.ts';
import { type GlobalOptions, profileFile } from '../program.ts';
import type { Examination } from './examination.ts';

const CHECK = 'realm';

/** Where an operator has signed in, the realm is asked what it knows to be wrong: what ends soon is seen from no port. */
export function examinationsOfRealm(globals: GlobalOptions): Examination[] {
  const file = profileFile(globals);
  return existsSync(file) ? [(limits) => askRealm(file, limits)] : [];
}

/** Every node of the profile is asked until one answers: what that says of the realm, or of the credential, is what all would say. */
async function askRealm(file: string, limits: WaitLimits): Promise<readonly Diagnosis[]> {
  const profile = loadProfile(file);
  const silent: Diagnosis[] = [];
  for (const url of [profile.url, ...(profile.others ?? [])]) {
    const { isHeard, diagnoses } = await askNode(url, profile, limits);
    if (isHeard) return [...silent, ...diagnoses];
    silent.push(...diagnoses);
  }
  return silent;
}

async function askNode(
  url: string,
  { ca, token }: Pick<OperatorProfile, 'ca' | 'token'>,
  { connectMs, answerMs }: WaitLimits,
): Promise<{ readonly isHeard: boolean; readonly diagnoses: readonly Diagnosis[] }> {
  const subject = `the realm, as ${new URL(url).host} knows it`;
  const admin = new AdminClient({ urls: [url], ca, token, connectMs, timeoutMs: answerMs });
  try {
    const { degraded } = await admin.call(status.get);
    return { isHeard: true, diagnoses: degradedDiagnoses(subject, degraded) };
  } catch (error) {
    if (!(error instanceof AdminError)) throw error;
    const { message: words, status: answered } = error;
    const isHeard = error.code !== 'ERR_ADMIN_UNREACHABLE' && answered !== undefined && answered < 500;
    const next = 'sallyport status says more; sallyport login';
    return { isHeard, diagnoses: [{ subject, check: CHECK, state: 'warning', words, next }] };
  } finally {
    await admin.close();
  }
}

/** What a status says of the realm, as diagnoses. */
export function degradedDiagnoses(subject: string, degraded: readonly string[]): readonly Diagnosis[] {
  if (degraded.length === 0) return [{ subject, check: CHECK, state: 'ok', words: 'everything answers' }];
  const next = 'docs/operator.md, "What to watch", says what each means; sallyport status says how it is then';
  return degraded.map((words) => ({ subject, check: CHECK, state: 'warning', words, next }));
}

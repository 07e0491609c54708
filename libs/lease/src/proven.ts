import { type AppContext, formatHex, parseHex } from '@sallyport/channel';
import { EVIDENCE_LEVELS, type EvidenceLevel, type ProvenFacts } from '@sallyport/security-api';

/** True when evidence is at least as strong as is demanded. */
export function isAsStrong(level: EvidenceLevel, least: EvidenceLevel): boolean {
  return EVIDENCE_LEVELS.indexOf(level) >= EVIDENCE_LEVELS.indexOf(least);
}

/** The app context with what was proved in place of what is claimed. What evidence says nothing of stays a claim. */
export function withProven(context: AppContext, { signers, posture, ...facts }: ProvenFacts): AppContext {
  return {
    ...context,
    ...facts,
    ...(signers ? { signer: signerOf(context, signers) } : {}),
    posture: { ...context.posture, ...posture },
  };
}

/** An app may have several signers: which of them counts is the app's to say. Of none of them it is no claim that counts. */
function signerOf({ signer }: AppContext, signers: readonly string[]): Uint8Array {
  if (signers.includes(formatHex(signer))) return signer;
  return parseHex(signers[0] ?? '');
}

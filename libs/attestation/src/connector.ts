import type { EvidenceClaim, EvidenceFault, Proven, Unproven } from '@sallyport/access';

/** Verifies statements of one platform. @throws EvidenceRefused, or anything at all for a malformed statement */
export type EvidenceConnector = (claim: EvidenceClaim) => Promise<Proven> | Proven;

/** Evidence does not hold. Only inside of this library: callers get the fault. */
class EvidenceRefused extends Error {
  readonly fault: EvidenceFault;

  constructor(fault: EvidenceFault) {
    super(`the evidence is refused: ${fault}`);
    this.name = 'EvidenceRefused';
    this.fault = fault;
  }
}

/** Demands that evidence holds. @throws EvidenceRefused */
export function expectEvidence(holds: boolean, fault: EvidenceFault): asserts holds {
  if (!holds) throw new EvidenceRefused(fault);
}

/** The outcome of a connector: what it throws by accident is the statement's fault, which nobody but the device wrote. */
export async function outcomeOf(connector: EvidenceConnector, claim: EvidenceClaim): Promise<Proven | Unproven> {
  try {
    return await connector(claim);
  } catch (error) {
    return { fault: error instanceof EvidenceRefused ? error.fault : 'malformed' };
  }
}

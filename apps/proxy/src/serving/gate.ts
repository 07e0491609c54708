import { codeUnderWay, type SignedCode } from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import type { Decision, Wanted } from './rights.ts';

/** What a passage asks of its channel; each answer is that of this moment. */
export interface Gate {
  /** A number that changes with the grant and the app context; 0 while rights are being read. */
  readonly rights: number;
  /** Decides by the grant and app context of this moment. */
  decide(wanted: Wanted): Decision;
  /** True while the channel is open and the lease lives. */
  mayServe(): boolean;
}

/** Bytes may go, must wait until rights are known, or the code with which the stream ends. */
export type Look = 'pass' | 'wait' | SignedCode;

/**
 * The one gate between a stream and its backend (SPEC.md, section 6, "the last look"): asked before any byte goes out,
 * when a connection is there and at every write after that. It also knows whether a backend may have read something, and
 * so with which code the stream may still end. One per stream.
 */
export class Passage {
  readonly #gate: Gate;
  readonly #wanted: Wanted;
  /** What is wanted besides, of the same resource. */
  readonly #also: Wanted | undefined;
  /** The rights by which what is wanted was allowed last: as long as they stay, nothing is decided again. */
  #allowedBy = 0;
  #resource: ResourceGrant | undefined;
  /** The rule by which the last decision refused. */
  #rule: string | undefined;
  #begun = false;

  constructor(gate: Gate, wanted: Wanted, also?: Wanted) {
    this.#gate = gate;
    this.#wanted = wanted;
    this.#also = also;
  }

  /** The resource that the last look allowed. Only after a look that passed. */
  get resource(): ResourceGrant {
    return this.#resource!;
  }

  /** The rule by which the last look refused, if the device may know it. */
  get rule(): string | undefined {
    return this.#rule;
  }

  /** True once a backend may have read a byte. */
  get begun(): boolean {
    return this.#begun;
  }

  /** Whether bytes may go to the backend at this moment. */
  look(): Look {
    const { rights } = this.#gate;
    if (rights === 0) return 'wait';
    if (rights !== this.#allowedBy) {
      const refused = this.recheck();
      if (refused) return refused;
      this.#allowedBy = rights;
    }
    return this.#gate.mayServe() ? 'pass' : 'LEASE_LOST';
  }

  /** Why the stream would be refused by the grant and the app context of this moment, if it would. */
  recheck(): SignedCode | undefined {
    const decision = this.#decision();
    if ('refused' in decision) {
      this.#rule = decision.rule;
      return this.#begun ? 'RIGHTS_LOST' : decision.refused;
    }
    this.#rule = undefined;
    this.#resource = decision.resource;
    return undefined;
  }

  #decision(): Decision {
    const decision = this.#gate.decide(this.#wanted);
    const also = this.#also && 'resource' in decision ? this.#gate.decide(this.#also) : undefined;
    return also && 'refused' in also ? also : decision;
  }

  /** From now on a backend may have read something. */
  begin(): void {
    this.#begun = true;
  }

  /** The backend has said that it took nothing of what was sent. */
  untaken(): void {
    this.#begun = false;
  }

  /** What the device is told beside a code: what is known, or the rule by which it was refused. */
  words(code: SignedCode, known: string | undefined): string | undefined {
    return known ?? (code === 'REQUEST_REFUSED' ? this.#rule : undefined);
  }

  /** The code with which the stream may end: after `begin` never one that says that nothing ran. */
  ending(code: SignedCode): SignedCode {
    return this.#begun ? codeUnderWay(code) : code;
  }
}

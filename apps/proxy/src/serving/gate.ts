import { codeUnderWay, type SignedCode } from '@sallyport/channel';
import type { ResourceGrant } from '@sallyport/security-api';
import type { Decision, Wanted } from './rights.ts';

/** What a gate asks of its channel; each answer is that of this moment. */
export interface Judge {
  /** A number that changes with the grant and the app context; 0 while rights are being read. */
  readonly rights: number;
  /** Decides by the grant and app context of this moment. */
  decide(wanted: Wanted): Decision;
  /** True while the channel is open and the lease lives. */
  mayServe(): boolean;
  /** Runs work at once, or as soon as rights that are being read again are known. */
  whenReady(work: () => void): void;
  /** Runs work at once, or as soon as the fresh evidence that was asked for is there, or will not come. */
  whenProved(work: () => void): void;
  /** A device's message was refused by a rule: the log says which. */
  refused(rule: string): void;
}

/** Who stands before a gate: a stream. */
export interface Passer<Way> {
  readonly over: boolean;
  /** What was wanted is allowed at this moment: the way to its backend may be made. */
  admitted(resource: ResourceGrant): void;
  /** What waits may go, now and in this call: the way is lent for it. */
  pass(way: Way): void;
  /** Neither now nor later. */
  refuse(code: SignedCode): void;
}

/** Bytes may go, must wait until rights are known, or the code with which the stream ends. */
export type Look = 'pass' | 'wait' | SignedCode;

/**
 * The one gate between a stream and its backend (SPEC.md, section 6, "the last look"): revocation, rights, app context and lease
 * are judged here, when something is wanted, when a connection is there and at every write after that. The gate keeps the way to
 * the backend and lends it for one `pass` at a time; what a stream may do with it at any other time is its `flow`, which cannot
 * write. It also knows whether a backend may have read something, and so with which code the stream may still end. One per stream.
 */
export class Gate<Way extends Flow, Flow extends object> {
  readonly #judge: Judge;
  readonly #passer: Passer<Way>;
  readonly #wanted: Wanted;
  /** What is wanted besides, of the same resource. */
  readonly #also: Wanted | undefined;
  /** The rights by which what is wanted was allowed last: as long as they stay, nothing is decided again. */
  #allowedBy = 0;
  #resource: ResourceGrant | undefined;
  /** The rule by which the last decision refused. */
  #rule: string | undefined;
  #way: Way | undefined;
  /** Something waits until rights are known. */
  #waits = false;
  /** The last decision waits for fresh evidence. */
  #asked = false;
  #begun = false;

  constructor(judge: Judge, passer: Passer<Way>, wanted: Wanted, also?: Wanted) {
    this.#judge = judge;
    this.#passer = passer;
    this.#wanted = wanted;
    this.#also = also;
  }

  /** The resource that the last look allowed. Only after a look that passed. */
  get resource(): ResourceGrant {
    return this.#resource!;
  }

  /** True once a backend may have read a byte. */
  get begun(): boolean {
    return this.#begun;
  }

  /** What may be done with the way at any time; undefined before there is one. */
  get flow(): Flow | undefined {
    return this.#way;
  }

  /** Asks to be admitted: now, or as soon as rights are known. */
  enter(): void {
    const look = this.look();
    if (look === 'pass') return this.#passer.admitted(this.#resource!);
    if (look === 'wait') return this.#later(() => this.enter());
    if (this.#rule !== undefined) this.#judge.refused(this.#rule);
    this.#passer.refuse(look);
  }

  /** There is a way to the backend; nothing goes on it but by `write`. */
  open(way: Way): void {
    this.#way = way;
  }

  /** The way leads nowhere any more: another one is looked for. */
  close(): void {
    this.#way = undefined;
  }

  /** Something is to go to the backend: it passes now, or as soon as rights are known, or never. */
  write(): void {
    if (this.#waits || !this.#way || this.#passer.over) return;
    const look = this.look();
    if (look === 'pass') return this.#passer.pass(this.#way);
    if (look !== 'wait') return this.#passer.refuse(look);
    this.#later(() => this.write());
  }

  /** Whether bytes may go to the backend at this moment. */
  look(): Look {
    const { rights } = this.#judge;
    if (rights === 0) {
      this.#asked = false;
      return 'wait';
    }
    if (rights !== this.#allowedBy) {
      const refused = this.recheck();
      if (refused) return refused;
      if (this.#asked) return 'wait';
      this.#allowedBy = rights;
    }
    return this.#judge.mayServe() ? 'pass' : 'LEASE_LOST';
  }

  /** Why the stream would be refused by the grant and the app context of this moment, if it would. Not while fresh evidence is asked for. */
  recheck(): SignedCode | undefined {
    const decision = this.#decision();
    this.#asked = 'asked' in decision;
    if ('asked' in decision) return undefined;
    if ('refused' in decision) {
      this.#rule = decision.rule;
      return this.#begun ? 'RIGHTS_LOST' : decision.refused;
    }
    this.#rule = undefined;
    this.#resource = decision.resource;
    return undefined;
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
    return known ?? (code === 'REQUEST_REFUSED' || code === 'CONTEXT_DENIED' ? this.#rule : undefined);
  }

  /** The code with which the stream may end: after `begin` never one that says that nothing ran. */
  ending(code: SignedCode): SignedCode {
    return this.#begun ? codeUnderWay(code) : code;
  }

  #decision(): Decision {
    const decision = this.#judge.decide(this.#wanted);
    const also = this.#also && 'resource' in decision ? this.#judge.decide(this.#also) : undefined;
    return also && !('resource' in also) ? also : decision;
  }

  /** Whoever waits together is called together: a defect of ours in one ends that one's stream, and is said by its channel. */
  #later(work: () => void): void {
    this.#waits = true;
    const going = (): void => {
      this.#waits = false;
      if (this.#passer.over) return;
      try {
        work();
      } catch (error) {
        this.#passer.refuse('CANCELLED');
        throw error;
      }
    };
    if (this.#asked) this.#judge.whenProved(going);
    else this.#judge.whenReady(going);
  }
}

import { AccessError } from '../store/errors.ts';
import { type AuditMark, auditStart, verifyAfter } from './audit.ts';
import type { AccessContext } from './context.ts';
import { checkAuditStart } from './retention.ts';

/** What is known of the audit log: its last event, how far it was checked, and whether all of that fits. */
export interface AuditState {
  readonly events: number;
  readonly verified: number;
  readonly intact: boolean;
}

/**
 * Checks the audit log as it grows: each look checks only what is new since the one before, and looks that come together
 * are one. What was checked before is checked again from the start by `recheck`. One belongs to one node.
 */
export class AuditWatch {
  readonly #access: AccessContext;
  #mark: AuditMark | undefined;
  #broken = false;
  #running: Promise<void> | undefined;

  constructor(access: AccessContext) {
    this.#access = access;
  }

  /** Checks what is new; waits no longer than `patienceMs` and then tells how far it is. */
  async look(patienceMs: number): Promise<AuditState> {
    this.#running ??= this.#advance().finally(() => {
      this.#running = undefined;
    });
    // Who waits hears of a store that does not answer; who does not wait any more, does not.
    this.#running.catch(() => undefined);
    let timer: NodeJS.Timeout | undefined;
    const patience = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, patienceMs);
    });
    await Promise.race([this.#running, patience]).finally(() => clearTimeout(timer));
    const head = await this.#access.store.transaction(({ tables }) => tables.auditHeads.find({ id: 'head' }));
    const verified = this.#mark?.seq ?? 0;
    return { events: head?.seq ?? 0, verified, intact: !this.#broken };
  }

  /** Checks everything that is kept again, beside the looks. */
  async recheck(): Promise<void> {
    try {
      for (let mark: AuditMark | undefined; ; ) {
        const step = await this.#step(mark);
        mark = step.mark;
        if (step.atHead) break;
      }
      this.#broken = false;
    } catch (error) {
      this.#note(error);
    }
  }

  async #advance(): Promise<void> {
    try {
      for (let atHead = false; !atHead && !this.#broken; ) {
        const step = await this.#step(this.#mark);
        this.#mark = step.mark;
        atHead = step.atHead;
      }
    } catch (error) {
      this.#note(error);
    }
  }

  /** One transaction each, so that nothing else waits for a long log. */
  #step(from: AuditMark | undefined): Promise<{ mark: AuditMark; atHead: boolean }> {
    const { store, crypto } = this.#access;
    return store.transaction(async (transaction) => {
      const start = await auditStart(transaction);
      checkAuditStart(this.#access, start);
      // Older events may have been removed since.
      return verifyAfter(transaction, crypto, from && from.seq >= start.seq ? from : start);
    });
  }

  #note(error: unknown): void {
    if (!(error instanceof AccessError)) throw error;
    this.#broken = true;
  }
}

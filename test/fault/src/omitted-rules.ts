import { fileURLToPath } from 'node:url';

const OMIT_RULE = fileURLToPath(new URL('./omit-rule.ts', import.meta.url));

/** A place of the product's code, and what stands there instead when a rule is left out. */
export interface Omission {
  /** Path below the project's folder. */
  readonly file: string;
  readonly code: string;
  readonly instead: string;
}

const WITHOUT_AUTHORITY: readonly Omission[] = [
  {
    file: 'libs/access/src/journal/journal-writer.ts',
    code: 'return this.#heldDrifts === this.#drifts() && monotonicMs() - this.#heldAt < authorityMs;',
    instead: 'return true;',
  },
  {
    file: 'apps/security/src/farm/node.ts',
    code: '(await journal?.look()) === false',
    instead: '(await journal?.look()) === undefined',
  },
];

/** The rules that can be left out, by name, each with the scenario that must fail without it. */
export const OMITTED_RULES: Readonly<
  Record<string, { readonly scenario: string; readonly places: readonly Omission[] }>
> = {
  // Nothing is in force in a new epoch, or a new run of the database server, before all leases of the one before are over.
  hold: {
    scenario: 'restore',
    places: [
      {
        file: 'libs/access/src/revocation/hold.ts',
        code: 'const remainingMs = Math.max(ofEpoch, ofRun);',
        instead: 'const remainingMs = 0 * (ofEpoch + ofRun);',
      },
    ],
  },
  // A node whose epoch no longer owns the journal gives no leases.
  authority: { scenario: 'restore', places: WITHOUT_AUTHORITY },
  // A restore opens, and a node starts, only while the journal is its epoch's.
  claim: {
    scenario: 'restore',
    places: [
      ...WITHOUT_AUTHORITY,
      {
        file: 'libs/access/src/revocation/new-epoch.ts',
        code: 'if (journal && (await journal.claimed()) !== epoch) throw anotherRestore();',
        instead: '',
      },
      {
        file: 'libs/access/src/revocation/new-epoch.ts',
        code: 'if (!(await journal.claim(await journal.claimed(), epoch))) throw anotherRestore();',
        instead: 'await journal.claim(await journal.claimed(), epoch);',
      },
      {
        file: 'libs/access/src/journal/journal-writer.ts',
        code: 'if ((await journal.claimed()) === epoch) return undefined;',
        instead: 'return undefined;',
      },
    ],
  },
  // A restore brings back what the journal holds.
  journal: {
    scenario: 'restore',
    places: [
      {
        file: 'libs/access/src/revocation/new-epoch.ts',
        code: 'const missing = await missingEntries(begun, content);',
        instead: 'const missing: JournalEntry[] = [];',
      },
    ],
  },
  // Leases are kept by process, not by name.
  instance: {
    scenario: 'copies',
    places: [
      {
        file: 'libs/access/src/revocation/lease.ts',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a piece of code
        code: 'return `${proxy}/${instance}`;',
        // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a piece of code
        instead: 'return `${proxy}/${instance && "one"}`;',
      },
    ],
  },
  // A grant that comes late is held against what was applied since it was read.
  'late grants': {
    scenario: 'links',
    places: [
      {
        file: 'libs/lease/src/log-follower.ts',
        code: "if (this.#epoch === undefined || epoch !== this.#epoch) return 'stale';",
        instead: "return 'current';",
      },
    ],
  },
};

/** Options of Node that leave the rule out which this run is without. */
export function omission(): string[] {
  return process.env['RIG_WITHOUT'] ? ['--import', OMIT_RULE] : [];
}

import { existsSync, rmSync } from 'node:fs';
import { readJsonFile, replacePrivateFile } from '@sallyport/settings';
import { CliError } from '../../output.ts';
import type { NamedCa, TrustStore } from './store.ts';

/** A CA in a store, as it was meant to be: written before it is put there, taken away after it has gone. */
export interface TrustedCa {
  readonly place: string;
  readonly name: string;
}

/** What became of a CA in one store. */
export interface Outcome {
  readonly place: string;
  readonly outcome: string;
  /** What to do by hand; absent when all is well. */
  readonly next?: string;
}

/** What stands in which stores of this machine, so that it can be undone however far it got. */
export class Trusted {
  readonly #file: string;
  #entries: readonly TrustedCa[];

  constructor(file: string) {
    this.#file = file;
    this.#entries = existsSync(file) ? (readJsonFile(file) as TrustedCa[]) : [];
  }

  get entries(): readonly TrustedCa[] {
    return this.#entries;
  }

  /** Puts a CA into stores. Doing it again changes nothing. */
  add(stores: readonly TrustStore[], ca: NamedCa): readonly Outcome[] {
    return stores.map((store) => {
      const { place } = store;
      this.#keep([...this.#without({ place, name: ca.name }), { place, name: ca.name }]);
      return outcomeOf(place, 'trusted', () => store.add(ca));
    });
  }

  /** Takes out of the stores whatever was put there and fits. What fails stays known. */
  remove(stores: readonly TrustStore[], fits: (entry: TrustedCa) => boolean = () => true): readonly Outcome[] {
    return this.#entries.filter(fits).map((entry) => {
      const { place, name } = entry;
      const store = stores.find((one) => one.place === place);
      const outcome = outcomeOf(place, 'removed', () => (store ? store.remove(name) : demandGone(place)));
      if (outcome.next === undefined) this.#keep(this.#without(entry));
      return outcome;
    });
  }

  #without({ place, name }: TrustedCa): readonly TrustedCa[] {
    return this.#entries.filter((entry) => entry.place !== place || entry.name !== name);
  }

  #keep(entries: readonly TrustedCa[]): void {
    this.#entries = entries;
    if (entries.length > 0) replacePrivateFile(this.#file, `${JSON.stringify(entries, null, 2)}\n`);
    else rmSync(this.#file, { force: true });
  }
}

/** What stood in a store whose folder is gone stands nowhere. @throws CliError for one that is there, but not for whoever asks */
function demandGone(place: string): void {
  const folder = /, (\/.*)$/.exec(place)?.[1];
  if (folder !== undefined && existsSync(folder))
    throw new CliError('this store is not one of yours', 'run it as the user who trusted the CA');
}

function outcomeOf(place: string, done: string, work: () => void): Outcome {
  try {
    work();
    return { place, outcome: done };
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return { place, outcome: `not ${done}: ${error.message}`, next: error.next ?? 'try again' };
  }
}

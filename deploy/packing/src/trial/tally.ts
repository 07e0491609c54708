/** One line of a tally: what was looked at, what was found and whether that is as it must be. */
export interface TallyLine {
  readonly what: string;
  readonly found: string;
  readonly ok: boolean;
}

/** What a trial has found, printed as it goes on. */
export class TrialTally {
  readonly lines: TallyLine[] = [];
  readonly #say: (text: string) => void;

  constructor(say: (text: string) => void) {
    this.#say = say;
  }

  add(what: string, found: string | number, ok: boolean): void {
    const line = { what, found: String(found), ok };
    this.lines.push(line);
    this.#say(`${ok ? '✔' : '✘'} ${what}: ${line.found}`);
  }

  /** Something that must not have happened. */
  never(what: string, found: number): void {
    this.add(what, found, found === 0);
  }

  get holds(): boolean {
    return this.lines.every(({ ok }) => ok);
  }
}

/** One store of certificates on this machine in which a CA can stand. */
export interface TrustStore {
  /** What people call it, with its place; also the key under which it is remembered. */
  readonly place: string;
  /** Puts a CA in, or does so again. @throws CliError that says what to do by hand */
  add(ca: NamedCa): void;
  /** Takes a CA out by its name; nothing to do when it is not there. @throws CliError that says what to do by hand */
  remove(name: string): void;
}

/** A CA as stores know it. */
export interface NamedCa {
  readonly name: string;
  /** PEM. */
  readonly certificate: string;
}

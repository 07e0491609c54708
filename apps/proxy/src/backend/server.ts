import type { Backend } from '@sallyport/security-api';

/** One server of a backend, as connections are made to it. */
export interface BackendServer extends Backend {
  /** A device chose the host: only addresses in named networks count. */
  readonly chosen?: boolean;
}

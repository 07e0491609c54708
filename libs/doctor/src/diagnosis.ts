/** What one check came to. */
export interface Diagnosis {
  /** Where it was tried from and to, like `Proxy → Security 10.0.0.5:8443`, or a thing of this host, like `disk`. */
  readonly subject: string;
  /** What was looked at: `dns`, `port`, `tls`, `clock`, … */
  readonly check: string;
  readonly state: 'ok' | 'warning' | 'failure';
  readonly words: string;
  /** Where it is blocked, as far as that can be told from here. */
  readonly hop?: string;
  /** What to do; always there unless the state is ok. */
  readonly next?: string;
}

/** One way that is tried. */
export interface Leg {
  /** The place of this host in the table of ports, like `Proxy`. */
  readonly from: string;
  readonly to: string;
  readonly host: string;
  readonly port: number;
}

/** How long anything is waited for, ms. */
export interface WaitLimits {
  /** A connection, and an answer to a name. */
  readonly connectMs: number;
  /** An answer on a connection that stands. */
  readonly answerMs: number;
  /** How long a WebSocket is watched for somebody who cuts it. */
  readonly holdMs: number;
  /** How often something is said on it meanwhile. */
  readonly askEveryMs: number;
}

/** What people at a terminal wait for. */
export const USUAL_LIMITS: WaitLimits = { connectMs: 3_000, answerMs: 4_000, holdMs: 35_000, askEveryMs: 8_000 };

/** How a leg is called. */
export function nameOfLeg({ from, to, host, port }: Leg): string {
  return `${from} → ${to} ${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Exit statuses, as programs that watch expect them (Nagios): 0 all is well, 1 warnings, 2 failures. */
export function exitStatusOf(diagnoses: readonly Diagnosis[]): 0 | 1 | 2 {
  if (diagnoses.some(({ state }) => state === 'failure')) return 2;
  return diagnoses.some(({ state }) => state === 'warning') ? 1 : 0;
}

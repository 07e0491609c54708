import type { Backend } from '@sallyport/security-api';

/** How long a backend and what goes over its connections may take, ms. */
export interface TimeLimits {
  /** Until a connection stands. */
  readonly connectMs: number;
  /** Until the head of an answer, once the request is out. */
  readonly answerMs: number;
  /** For how long nothing of an answer's content may come. */
  readonly idleMs: number;
  /** For how long nothing of a request's content may move. */
  readonly contentIdleMs: number;
  /** For how long nothing may move on a WebSocket or a TCP connection. */
  readonly tunnelIdleMs: number;
}

/** What holds for a resource that says nothing else. An event stream or a long poll may be quiet for minutes. */
export const TIME_LIMITS: TimeLimits = {
  connectMs: 5_000,
  answerMs: 60_000,
  idleMs: 300_000,
  contentIdleMs: 60_000,
  tunnelIdleMs: 7_200_000,
};

/** The time limits of a backend. Its `idleMs` stands for every kind of standing still. */
export function timeLimitsOf({ timeouts = {} }: Pick<Backend, 'timeouts'>): TimeLimits {
  const { connectMs = TIME_LIMITS.connectMs, answerMs = TIME_LIMITS.answerMs, idleMs } = timeouts;
  if (idleMs === undefined) return { ...TIME_LIMITS, connectMs, answerMs };
  return { connectMs, answerMs, idleMs, contentIdleMs: idleMs, tunnelIdleMs: idleMs };
}

/** What was met, in words for people: `no answer within 75 s (answer limit)`. */
export function limitWords(what: string, ms: number, limit: 'connect' | 'answer' | 'idle'): string {
  const time = ms % 1_000 === 0 ? `${ms / 1_000} s` : `${ms} ms`;
  return `${what} ${time} (${limit} limit)`;
}

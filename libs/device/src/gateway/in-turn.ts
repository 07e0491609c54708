/** What became of one thing that was tried. */
export type TurnOutcome<T, R> =
  | { readonly item: T; readonly result: R; readonly tookMs: number }
  | { readonly item: T; readonly error: unknown };

/** How things are tried in turn. */
export interface Staggered<R> {
  /** The next one begins when those before have failed, or after this time, ms. */
  readonly staggerMs: number;
  /** Takes what comes when nobody wants it any more. */
  late(result: R): void;
}

/**
 * Tries things one after the other, and does not wait long for one that says nothing: the next begins beside it (RFC 8305, section
 * 5). Gives outcomes as they come; whoever has had enough stops asking.
 */
export async function* inTurn<T, R>(
  items: readonly T[],
  attempt: (item: T) => Promise<R>,
  { staggerMs, late }: Staggered<R>,
): AsyncGenerator<TurnOutcome<T, R>, void> {
  const done: TurnOutcome<T, R>[] = [];
  let [next, running, over] = [0, 0, false];
  let wake = (): void => undefined;
  const begin = (): void => {
    const item = items[next++]!;
    const begunAt = performance.now();
    running += 1;
    attempt(item)
      .then(
        (result) => (over ? late(result) : void done.push({ item, result, tookMs: performance.now() - begunAt })),
        (error: unknown) => void done.push({ item, error }),
      )
      .finally(() => {
        running -= 1;
        wake();
      });
  };
  try {
    while (done.length > 0 || running > 0 || next < items.length) {
      const outcome = done.shift();
      if (outcome) yield outcome;
      else if (running === 0) begin();
      else if (await settlesWithin(staggerMs, next < items.length, (settled) => (wake = settled))) continue;
      else begin();
    }
  } finally {
    over = true;
    for (const outcome of done) if ('result' in outcome) late(outcome.result);
  }
}

/** Waits until something has settled, which `listen` hands a function to be told by; false when time was over before. */
function settlesWithin(ms: number, isTimed: boolean, listen: (settled: () => void) => void): Promise<boolean> {
  return new Promise((resolve) => {
    const timer = isTimed ? setTimeout(() => resolve(false), ms) : undefined;
    listen(() => {
      clearTimeout(timer);
      resolve(true);
    });
  });
}

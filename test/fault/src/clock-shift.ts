/**
 * Loaded before a server of ours: moves its wall clock by CLOCK_OFFSET_MS, as on a machine whose clock is wrong. The
 * monotonic clock stays what it is. SIGUSR2 steps it by CLOCK_STEP_MS.
 */
let offsetMs = Number(process.env['CLOCK_OFFSET_MS'] ?? 0);
const stepMs = Number(process.env['CLOCK_STEP_MS'] ?? 0);
// An operator sets the clock while the server runs.
process.on('SIGUSR2', () => {
  offsetMs += stepMs;
});
const RealDate = Date;

class ShiftedDate extends RealDate {
  constructor(...args: unknown[]) {
    if (args.length === 0) super(RealDate.now() + offsetMs);
    else super(...(args as [number]));
  }

  static override now(): number {
    return RealDate.now() + offsetMs;
  }
}

globalThis.Date = ShiftedDate as DateConstructor;

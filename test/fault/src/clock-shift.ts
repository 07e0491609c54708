/**
 * Loaded before a server of ours: moves its wall clock by CLOCK_OFFSET_MS, as on a machine whose clock is wrong. The
 * monotonic clock stays what it is.
 */
const offsetMs = Number(process.env['CLOCK_OFFSET_MS'] ?? 0);
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

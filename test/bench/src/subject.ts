import type { LaneKind } from './load/lane.ts';

/** A gateway that is measured: ours or a peer. */
export interface Subject {
  readonly name: string;
  /** How `lanes` users get through it, each with `inFlight` requests at once. */
  lanes(lanes: number, inFlight: number): Promise<LaneKind> | LaneKind;
  /** CPU time so far of everything the gateway needs, microseconds. */
  cpuMicros(): number;
  /** The same by part, where there are several. */
  parts?(): Readonly<Record<string, number>>;
  /** Memory of the same processes, MiB. */
  memoryMiB(): number;
  /** The same by part, where there are several. */
  memoryParts?(): Readonly<Record<string, number>>;
}

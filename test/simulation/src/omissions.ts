/** Rules that can be left out, to see that the simulation would notice. */
export const OMISSIONS = [
  'waiting',
  'drift guard',
  'copy guard',
  'new epoch',
  'claim',
  'authority',
  'app of the grant',
  'last look',
  'late grants',
  'begin anew',
  'slow rights',
  'instance',
  'remembering',
  'witness',
  'server run',
] as const;

/** A rule that a run leaves out. */
export type Omission = (typeof OMISSIONS)[number];

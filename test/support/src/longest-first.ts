import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Files that take longest, by the beginnings of their paths, in the order in which they begin. */
const LONG = ['test/drill/test/runbook', 'test/fault/', 'test/drill/', 'test/end-to-end/'];

/** Where a file comes: those that take long begin first, so that no worker is left alone with one at the end. */
export function placeOf(file: string): number {
  const place = LONG.findIndex((folder) => file.includes(`/${folder}`));
  return place < 0 ? LONG.length : place;
}

/** Begins with the runbook, the fault rig, the drill and the end-to-end tests; within them with those that took longest the last time. */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    return sorted.sort((one, other) => placeOf(one.moduleId) - placeOf(other.moduleId));
  }
}

/** Something that is put off to the end of a turn of the event loop. It must not throw. */
interface PutOff {
  runDue(): void;
}

const due: PutOff[] = [];

/** Has it run at the end of this turn, as often as it was asked for: all of a turn together. */
export function atEndOfTurn(work: PutOff): void {
  if (due.push(work) === 1) setImmediate(runAll);
}

function runAll(): void {
  for (const work of due.splice(0)) work.runDue();
}

/**
 * Has a process stand still for good once it has said the words of STAND_STILL_AT on its standard error: whoever kills it then does so
 * at that very step, however late the signal comes. Loaded before its program, by `--import` in NODE_OPTIONS.
 */
const words = process.env['STAND_STILL_AT'];
const say = process.stderr.write.bind(process.stderr);

process.stderr.write = ((text: string | Uint8Array) => {
  const said = say(text);
  if (words && String(text).includes(words)) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
  return said;
}) as typeof process.stderr.write;
